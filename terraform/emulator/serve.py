"""One operator's AWS account on this machine, for Terraform to be applied to: moto, with what it lacks.

    serve.py ACCOUNT PORT DOMAIN

Serves the AWS API on http://127.0.0.1:PORT until it is ended, in memory. Makes what an operator has before Terraform:
a bucket for the state, a certificate of DOMAIN and the zone that it lies in. Prints one line of JSON when it is ready.

Nothing runs behind these APIs: what is shown is that AWS's provider and the module agree on every resource.
"""

import json
import os
import sys
import threading
import uuid

ACCOUNT, PORT, DOMAIN = sys.argv[1], int(sys.argv[2]), sys.argv[3]
REGION = "us-east-1"
# Read when moto is imported.
os.environ["MOTO_ACCOUNT_ID"] = ACCOUNT
os.environ |= {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_DEFAULT_REGION": REGION}

import boto3  # noqa: E402
from moto.apigateway.models import RestAPI  # noqa: E402
from moto.apigatewayv2.models import DomainName  # noqa: E402
from moto.awslambda.models import LambdaFunction  # noqa: E402
from moto.backup.responses import BackupResponse  # noqa: E402
from moto.core.responses import ActionResult  # noqa: E402
from moto.ec2.models.security_groups import SecurityGroupRule  # noqa: E402
from moto.ecs.responses import EC2ContainerServiceResponse  # noqa: E402
from moto.iam.access_control import PermissionResult  # noqa: E402
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app  # noqa: E402
from moto.s3.models import FakeBucket  # noqa: E402
from werkzeug.serving import WSGIRequestHandler, make_server  # noqa: E402


def add_backup_selections() -> None:
    """AWS Backup's selections: which resources a plan copies. Moto has plans and vaults only."""

    def selections(self: BackupResponse) -> dict:
        return self.backup_backend.__dict__.setdefault("selections", {})

    def create_backup_selection(self: BackupResponse) -> str:
        plan = self.path.split("/plans/")[1].split("/")[0]
        selection = json.loads(self.body)["BackupSelection"]
        made = str(uuid.uuid4())
        selections(self)[plan, made] = selection
        return json.dumps({"BackupPlanId": plan, "SelectionId": made, "CreationDate": 0})

    def one(self: BackupResponse) -> tuple[str, str]:
        plan, made = self.path.split("/plans/")[1].strip("/").split("/selections/")
        return plan, made

    def get_backup_selection(self: BackupResponse):
        plan, made = one(self)
        selection = selections(self).get((plan, made))
        if selection is None:
            return 404, {"x-amzn-errortype": "ResourceNotFoundException"}, json.dumps({"Message": "no such selection"})
        return json.dumps({"BackupPlanId": plan, "SelectionId": made, "BackupSelection": selection})

    def delete_backup_selection(self: BackupResponse) -> str:
        selections(self).pop(one(self), None)
        return "{}"

    def list_recovery_points_by_backup_vault(self: BackupResponse) -> str:
        return json.dumps({"RecoveryPoints": []})

    BackupResponse.list_recovery_points_by_backup_vault = list_recovery_points_by_backup_vault
    BackupResponse.create_backup_selection = create_backup_selection
    BackupResponse.get_backup_selection = get_backup_selection
    BackupResponse.delete_backup_selection = delete_backup_selection


def correct() -> None:
    """Where moto answers otherwise than AWS, so that no second plan would be clean."""
    # ARNs of Backup have no slash: the last part of the path is the whole ARN.
    original = BackupResponse.list_tags

    def list_tags(self: BackupResponse) -> str:
        if not self.path.endswith("/"):
            self.path += "/"
        return original(self)

    BackupResponse.list_tags = list_tags
    # The description of a rule that names a group is the group's.
    described = SecurityGroupRule.description.fget
    SecurityGroupRule.description = property(
        lambda rule: described(rule) or (rule.source_group or {}).get("Description")
    )
    # What is asked for and then forgotten, which a second plan would ask for again.
    create_service = EC2ContainerServiceResponse.create_service

    def remember_service(self: EC2ContainerServiceResponse):
        service = create_service(self).result["service"]
        service.health_check_grace_period_seconds = self._get_param("healthCheckGracePeriodSeconds")
        service.availability_zone_rebalancing = self._get_param("availabilityZoneRebalancing")
        return ActionResult({"service": service})

    EC2ContainerServiceResponse.create_service = remember_service
    make_function, configuration = LambdaFunction.__init__, LambdaFunction.get_configuration

    def remember_logging(self: LambdaFunction, *given, **named) -> None:
        make_function(self, *given, **named)
        self.logging = named["spec"].get("LoggingConfig")

    def configuration_with_logging(self: LambdaFunction, on_create: bool = False) -> dict:
        return configuration(self, on_create) | {"LoggingConfig": self.logging}

    LambdaFunction.__init__, LambdaFunction.get_configuration = remember_logging, configuration_with_logging
    # A domain is of use when it is "available", which the provider waits for.
    domain = DomainName.to_json

    def available(self: DomainName) -> dict:
        found = {name: value for name, value in domain(self).items() if value or name != "mutualTlsAuthentication"}
        host = {"apiGatewayDomainName": f"d-1.execute-api.{REGION}.amazonaws.com", "hostedZoneId": "Z1UJRXOUMOOFQ8"}
        for one in found["domainNameConfigurations"]:
            one |= {"domainNameStatus": "AVAILABLE"} | host
        return found

    DomainName.to_json = available
    # A media type that is added or replaced is named by the path.
    patch = RestAPI.apply_patch_operations

    def patch_media_types(self: RestAPI, operations: list[dict]) -> None:
        media = [o for o in operations if o["path"].startswith("/binaryMediaTypes/")]
        for one in media:
            name = one["path"].removeprefix("/binaryMediaTypes/").replace("~1", "/")
            kept = [t for t in self.binaryMediaTypes if t != name]
            self.binaryMediaTypes = kept if one["op"] == "remove" else [*kept, one.get("value") or name]
        patch(self, [o for o in operations if o not in media])

    RestAPI.apply_patch_operations = patch_media_types
    # Conditions of a bucket's policy are not understood: "unless over TLS" would refuse everything. Policies are
    # evaluated by terraform/policies.
    FakeBucket.get_permission = lambda self, action, resource: PermissionResult.NEUTRAL


class Quiet(WSGIRequestHandler):
    """Says what failed and nothing else."""

    def log_request(self, code="-", size="-") -> None:
        if str(code).startswith("5"):
            super().log_request(code, size)


def prepare() -> dict:
    client = lambda service: boto3.client(service, endpoint_url=f"http://127.0.0.1:{PORT}")  # noqa: E731
    client("s3").create_bucket(Bucket=f"state-{ACCOUNT}")
    client("s3").put_bucket_versioning(Bucket=f"state-{ACCOUNT}", VersioningConfiguration={"Status": "Enabled"})
    zone = client("route53").create_hosted_zone(Name=DOMAIN, CallerReference=str(uuid.uuid4()))["HostedZone"]["Id"]
    return {
        "account": client("sts").get_caller_identity()["Account"],
        "state_bucket": f"state-{ACCOUNT}",
        "certificate_arn": client("acm").request_certificate(DomainName=DOMAIN)["CertificateArn"],
        "zone_id": zone.split("/")[-1],
    }


def main() -> None:
    add_backup_selections()
    correct()
    server = make_server(
        "127.0.0.1", PORT, DomainDispatcherApplication(create_backend_app), threaded=True, request_handler=Quiet
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(json.dumps(prepare()), flush=True)
    # Ends with whoever started it.
    sys.stdin.read()


if __name__ == "__main__":
    main()
