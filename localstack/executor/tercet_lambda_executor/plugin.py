"""What LocalStack's plugin manager finds."""

from localstack.services.lambda_.invocation.plugins import RuntimeExecutorPlugin


class ProcessExecutorPlugin(RuntimeExecutorPlugin):
    name = "process"

    def load(self, *args, **kwargs):
        # Imported late: LocalStack loads all plugins' modules, but only one executor is used.
        from tercet_lambda_executor.executor import ProcessExecutor

        return ProcessExecutor
