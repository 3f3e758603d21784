"""Writes down every call that LocalStack gets, so that the deployed policies can be asked about each with its caller
(terraform/policies/recorded.mjs). LocalStack itself enforces no policy.

The file is named by TERCET_RECORD; without it nothing is recorded. What a call carries is left out: a record has names only.
"""

import json
import os
import re
import threading

try:
    from localstack.runtime import hooks
except ImportError:  # The tests of what is recorded need no LocalStack.
    hooks = None

_NAMES = ("Bucket", "Key", "Prefix", "KeyId", "TargetKeyId", "EncryptionContext", "SecretId", "TableName")
_HEADERS = ("if-none-match", "if-match", "x-amz-server-side-encryption", "x-amz-server-side-encryption-aws-kms-key-id")
_APP = re.compile(r"\bapp/([A-Za-z0-9_-]+)")
_lock = threading.Lock()


def record_of(service: str, operation: str, parameters: dict, headers, account: str, role: str | None) -> dict:
    """A call's record: who, what, on which resource, under which conditions."""
    agent = headers.get("User-Agent") or headers.get("user-agent") or ""
    more = headers.get("X-Amz-User-Agent") or headers.get("x-amz-user-agent") or ""
    app = _APP.search(f"{agent} {more}")
    request = {name: parameters[name] for name in _NAMES if isinstance(parameters.get(name), (str, dict))}
    if items := parameters.get("TransactItems"):
        request["TransactItems"] = [
            {kind: {"TableName": part.get("TableName")} for kind, part in item.items()} for item in items
        ]
    if objects := (parameters.get("Delete") or {}).get("Objects"):
        request["Delete"] = {"Objects": [{"Key": o.get("Key")} for o in objects]}
    return {
        "account": account,
        "role": role,
        "app": app and app.group(1),
        "agent": agent,
        "service": service,
        "operation": operation,
        "request": request,
        "headers": {name: headers[name] for name in _HEADERS if headers.get(name) is not None},
    }


def _role_of(account: str, access_key: str | None) -> str | None:
    """The role whose temporary key this is."""
    from moto.sts.models import sts_backends

    assumed = access_key and sts_backends[account]["aws"].get_assumed_role_from_access_key(access_key)
    return assumed.arn if assumed else None


def _write(path: str, context) -> None:
    from localstack.utils.aws.request_context import extract_access_key_id_from_auth_header

    if context.is_internal_call or not (context.service and context.operation):
        return
    headers = context.request.headers
    role = _role_of(context.account_id, extract_access_key_id_from_auth_header(headers))
    service, operation = context.service.service_name, context.operation.name
    record = record_of(service, operation, context.service_request or {}, headers, context.account_id, role)
    line = json.dumps(record) + "\n"
    with _lock, open(path, "a", encoding="utf-8") as out:
        out.write(line)


def tercet_recorder() -> None:
    """LocalStack's hook at its start."""
    if path := os.environ.get("TERCET_RECORD"):
        from localstack.aws import handlers

        handlers.serve_custom_service_request_handlers.append(lambda _chain, context, _response: _write(path, context))


if hooks:
    tercet_recorder = hooks.on_infra_start()(tercet_recorder)
