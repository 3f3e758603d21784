#!/usr/bin/env python3
"""Prints the policy documents that are deployed, as JSON for check.mjs.

It asks the services themselves (IAM, S3, KMS, Secrets Manager, DynamoDB), not Terraform's state. Needs boto3.

  collect.py --region eu-central-1 > party.json                         # AWS: credentials of the SDK's ordinary chain
  collect.py --endpoint http://127.0.0.1:4566 --account 111111111111 --account 222222222222 > all.json   # LocalStack
"""

import argparse
import json
import sys
from urllib.parse import unquote

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError


def optional(call, *absent, **arguments):
    """The call's answer; None where the document does not exist."""
    try:
        return call(**arguments)
    except ClientError as error:
        if error.response["Error"]["Code"] in absent:
            return None
        raise


def document(policy):
    if isinstance(policy, str):
        return json.loads(policy if policy.lstrip().startswith("{") else unquote(policy))
    return policy


def collect(client, prefix):
    """The documents of one account whose names begin with the prefix."""
    account = client("sts").get_caller_identity()["Account"]
    iam, s3, kms = client("iam"), client("s3"), client("kms")
    secrets, dynamodb = client("secretsmanager"), client("dynamodb")
    out = {"roles": [], "buckets": [], "keys": [], "secrets": [], "tables": []}

    for page in iam.get_paginator("list_roles").paginate():
        for role in (r for r in page["Roles"] if r["RoleName"].startswith(prefix)):
            name = role["RoleName"]
            inline = iam.list_role_policies(RoleName=name)["PolicyNames"]
            policies = [
                {"name": p, "policy": document(iam.get_role_policy(RoleName=name, PolicyName=p)["PolicyDocument"])}
                for p in inline
            ]
            for attached in iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]:
                arn = attached["PolicyArn"]
                version = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
                found = iam.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]
                policies.append({"name": attached["PolicyName"], "policy": document(found["Document"])})
            out["roles"].append({"arn": role["Arn"], "policies": policies})

    for bucket in (b["Name"] for b in s3.list_buckets()["Buckets"] if b["Name"].startswith(prefix)):
        policy = optional(s3.get_bucket_policy, "NoSuchBucketPolicy", Bucket=bucket)
        out["buckets"].append(
            {"arn": f"arn:aws:s3:::{bucket}", "account": account, "policy": policy and document(policy["Policy"])}
        )

    for page in kms.get_paginator("list_keys").paginate():
        for key in page["Keys"]:
            about = kms.describe_key(KeyId=key["KeyId"])["KeyMetadata"]
            if about["KeyState"] != "Enabled" or not about["Description"].startswith(prefix):
                continue
            policy = kms.get_key_policy(KeyId=key["KeyId"], PolicyName="default")["Policy"]
            out["keys"].append(
                {"arn": about["Arn"], "description": about["Description"], "policy": document(policy)}
            )

    for page in secrets.get_paginator("list_secrets").paginate():
        for secret in (s for s in page["SecretList"] if s["Name"].startswith(prefix)):
            policy = secrets.get_resource_policy(SecretId=secret["ARN"]).get("ResourcePolicy")
            out["secrets"].append({"arn": secret["ARN"], "policy": policy and document(policy)})

    # Emulators behind LocalStack show every account's tables to every account and give them ARNs of none: a table is
    # taken as the account's when a role of the account names it.
    named = json.dumps(out["roles"])
    region = dynamodb.meta.region_name
    for page in dynamodb.get_paginator("list_tables").paginate():
        for table in page["TableNames"]:
            arn = f"arn:aws:dynamodb:{region}:{account}:table/{table}"
            if arn in named:
                out["tables"].append({"arn": arn})
    return out


def main():
    parser = argparse.ArgumentParser(description="Prints the deployed policy documents as JSON.")
    parser.add_argument("--region", default="us-east-1")
    parser.add_argument("--endpoint", help="LocalStack's address; without it, AWS")
    parser.add_argument("--account", action="append", help="LocalStack: an account; may be given several times")
    parser.add_argument("--prefix", default="tercet-", help="what names begin with (default: tercet-)")
    options = parser.parse_args()
    if bool(options.endpoint) != bool(options.account):
        parser.error("--endpoint and --account belong together")

    joined = {}
    for account in options.account or [None]:

        def client(service, account=account):
            credentials = {"aws_access_key_id": account, "aws_secret_access_key": "localstack"} if account else {}
            return boto3.client(
                service,
                region_name=options.region,
                endpoint_url=options.endpoint,
                config=Config(s3={"addressing_style": "path"} if account else {}),
                **credentials,
            )

        for kind, found in collect(client, options.prefix).items():
            known = {entry["arn"] for entry in joined.setdefault(kind, [])}
            joined[kind] += [entry for entry in found if entry["arn"] not in known]
    json.dump(joined, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
