"""Looks at a deployment on LocalStack with AWS's own SDK, not with Tercet's code.

    check.py deployed FACTS.json    what the operators made is there, encrypted and closed
    check.py gone FACTS.json        nothing of it is left
    check.py times FACTS.json       how long the functions' requests took, by their own logs

FACTS.json: endpoint, region, and the operators' accounts, identity keys and Terraform outputs, the coordinator's first.
Prints what it checked; exits with 1 and the reasons if something is not as it must be.
"""

import json
import struct
import sys
import zlib

import boto3
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

problems: list[str] = []


def check(holds: bool, what: str) -> None:
    print("ok  " if holds else "FAIL", what)
    if not holds:
        problems.append(what)


class Account:
    """Clients of one operator's account."""

    def __init__(self, facts: dict, operator: dict):
        self.name, self.account, self.outputs = operator["name"], operator["account"], operator["outputs"]
        self.identity = operator.get("identity")
        self._session = boto3.session.Session(
            aws_access_key_id=self.account, aws_secret_access_key="x", region_name=facts["region"]
        )
        self._endpoint = facts["endpoint"]

    def __call__(self, service: str):
        return self._session.client(service, endpoint_url=self._endpoint)


def wrapping_key(body: bytes) -> tuple[str, bytes, bytes]:
    """Splits a stored object: the name of the key that wraps its data key, the wrapped key, the rest."""
    if body[0] != 1:
        raise ValueError(f"version {body[0]}")
    at, parts = 1, []
    for _ in range(2):
        (size,) = struct.unpack_from("<I", body, at)
        parts.append(body[at + 4 : at + 4 + size])
        at += 4 + size
    return parts[0].decode(), parts[1], body[at:]


KINDS = {"segments": 1, "log": 2, "answers": 3, "prepares": 5, "locks": 6}
LEASE = 7


def place(identity: str, key: str) -> bytes:
    """Where an object belongs, from its name: what its data key and its body are bound to."""
    parts = key.split("/")
    survey, kind, number = bytes(32), 0, 0
    if parts[0] == "surveys":
        survey, kind, number = bytes.fromhex(parts[1]), KINDS[parts[2]], int(parts[3].split("-")[0])
    elif parts[0] == "lease":
        kind, number = LEASE, int(parts[1])
    domain = b"tercet stored object v1"
    head = struct.pack("<I", len(domain)) + domain + bytes.fromhex(identity)
    return head + survey + bytes([kind]) + struct.pack("<Q", number)


def open_object(kms, where: bytes, body: bytes) -> bytes:
    """Opens a stored object as docs/operators.md's key would be used: KMS unwraps the data key, which opens the body."""
    arn, wrapped, rest = wrapping_key(body)
    context = {"tercet-place": where.hex()}
    data_key = kms.decrypt(KeyId=arn, CiphertextBlob=wrapped, EncryptionContext=context)["Plaintext"]
    header = body[: len(body) - len(rest) + 12]
    return AESGCM(data_key).decrypt(rest[:12], rest[12:], where + header)


def refuses(call, *codes: str) -> bool:
    try:
        call()
    except Exception as e:  # botocore makes its exception classes at run time
        code = getattr(e, "response", {}).get("Error", {}).get("Code", "")
        return code in codes
    return False


def deployed_party(party: Account, others: list[str]) -> None:
    """`others`: the other operators' KMS keys."""
    s3, kms, out = party("s3"), party("kms"), party.outputs
    bucket, name = out["bucket"], party.name
    rules = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    default = rules[0]["ApplyServerSideEncryptionByDefault"]
    check(default["SSEAlgorithm"] == "aws:kms", f"{name}: the bucket is encrypted with KMS")
    check(default["KMSMasterKeyID"] == out["storage_kms_key_arn"], f"{name}: with the operator's own key")
    check(s3.get_bucket_versioning(Bucket=bucket).get("Status") == "Enabled", f"{name}: the bucket is versioned")
    block = s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]
    check(all(block.values()), f"{name}: public access is blocked")

    prefix = out["store_prefix"]
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    keys = [o["Key"] for page in pages for o in page.get("Contents", [])]
    check(len(keys) > 3, f"{name}: {len(keys)} objects are stored")
    wrapped_by, compressible, opened, closed, moved, foreign = set(), [], [], [], [], []
    for key in keys:
        body = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        arn, wrapped, rest = wrapping_key(body)
        wrapped_by.add(arn)
        # Ciphertext does not compress. Nonce and tag alone are too short to tell.
        if len(rest) > 64 and len(zlib.compress(rest, 9)) < len(rest):
            compressible.append(key)
        # Without the object's place as encryption context KMS must not unwrap, although the account may use the key.
        if not refuses(lambda: kms.decrypt(KeyId=arn, CiphertextBlob=wrapped), "InvalidCiphertextException"):
            opened.append(key)
        where = place(party.identity, key.removeprefix(prefix))
        try:
            open_object(kms, where, body)
        except (InvalidTag, kms.exceptions.ClientError):
            closed.append(key)
        if not refuses(lambda: open_object(kms, where[:-1] + b"\xff", body), "InvalidCiphertextException"):
            moved.append(key)
        # LocalStack lets one account use another's key by its ARN; who may on AWS is the policies' evaluation's to say.
        for other in others:
            context = {"tercet-place": where.hex()}
            unwrap = lambda: kms.decrypt(KeyId=other, CiphertextBlob=wrapped, EncryptionContext=context)  # noqa: B023, E731
            if not refuses(unwrap, "IncorrectKeyException", "InvalidCiphertextException"):
                foreign.append(key)
    check(wrapped_by == {out["kms_key_arn"]}, f"{name}: every object's key is wrapped by the operator's KMS key")
    check(not compressible, f"{name}: every object's body is ciphertext {compressible}")
    check(not closed, f"{name}: every object opens with the operator's KMS key, at its place {closed}")
    check(not opened and not moved, f"{name}: no wrapped key opens outside its object's place {opened} {moved}")
    check(not foreign, f"{name}: no other operator's KMS key opens one {foreign[:3]}")

    for secret, arn in out["secret_arns"].items():
        found = party("secretsmanager").describe_secret(SecretId=arn)
        check(bool(found.get("KmsKeyId")), f"{name}: the secret {secret} is encrypted with a key of the operator's")


def deployed_coordinator(coordinator: Account) -> None:
    dynamodb, table = coordinator("dynamodb"), coordinator.outputs["table_name"]
    found = dynamodb.describe_table(TableName=table)["Table"]
    check(found.get("SSEDescription", {}).get("SSEType") == "KMS", "coordinator: the table is encrypted with KMS")
    ttl = dynamodb.describe_time_to_live(TableName=table)["TimeToLiveDescription"]
    check(ttl.get("AttributeName") == "expires_at", "coordinator: the table has a time to live")
    roles = coordinator.outputs["role_arns"]
    check(len(set(roles.values())) == len(roles) == 3, "coordinator: each function has a role of its own")
    logs = coordinator("logs").describe_log_groups()["logGroups"]
    check(bool(logs) and all(g.get("retentionInDays") for g in logs), "coordinator: logs are kept for a set time")


def deployed_notary(notary: Account) -> None:
    s3, bucket = notary("s3"), notary.outputs["bucket"]
    check(s3.get_bucket_versioning(Bucket=bucket).get("Status") == "Enabled", "notary: the bucket is versioned")
    block = s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]
    check(all(block.values()), "notary: public access is blocked")
    secret = notary("secretsmanager").describe_secret(SecretId=notary.outputs["secret_arn"])
    check(bool(secret.get("KmsKeyId")), "notary: its key is encrypted with a key of the operator's")


def gone(account: Account) -> None:
    name = account.name
    check(not account("s3").list_buckets()["Buckets"], f"{name}: no bucket is left")
    check(not account("secretsmanager").list_secrets()["SecretList"], f"{name}: no secret is left")
    check(not account("dynamodb").list_tables()["TableNames"] or name != "coordinator", f"{name}: no table is left")
    check(not account("lambda").list_functions()["Functions"], f"{name}: no function is left")
    check(not account("iam").list_roles()["Roles"], f"{name}: no role is left")
    kms = account("kms")
    keys = [kms.describe_key(KeyId=k["KeyId"])["KeyMetadata"] for k in kms.list_keys()["Keys"]]
    # AWS's own keys, such as DynamoDB's, come with an account and are nobody's to delete; LocalStack calls one of them
    # a customer's, without a description. Every key of the modules has one.
    kept = [
        k
        for k in keys
        if k["KeyManager"] == "CUSTOMER" and k["Description"] and k["KeyState"] != "PendingDeletion"
    ]
    shown = [(k["KeyState"], k["Description"]) for k in kept]
    check(not kept, f"{name}: every key waits for its deletion {shown}")


def times(coordinator: Account) -> None:
    logs, routes = coordinator("logs"), {}
    name = coordinator.outputs["function_names"]["api"]
    events = logs.get_paginator("filter_log_events").paginate(logGroupName=f"/aws/lambda/{name}")
    for event in (e for page in events for e in page["events"]):
        # One message may hold several lines, and not every line is JSON.
        for line in event["message"].splitlines():
            entry = json.loads(line) if line.startswith("{") else {}
            if entry.get("message") == "request":
                routes.setdefault(f"{entry['method']} {entry['route']}", []).append(entry["ms"])
    for route, ms in sorted(routes.items()):
        ms.sort()
        print(f"{route}: {len(ms)} requests, {ms[len(ms) // 2]} ms at the median, {ms[-1]} ms at most")
    check(bool(routes), "coordinator: the API logs one JSON line a request")


def main() -> int:
    if len(sys.argv) != 3 or sys.argv[1] not in ("deployed", "gone", "times"):
        print(__doc__, file=sys.stderr)
        return 2
    with open(sys.argv[2]) as file:
        facts = json.load(file)
    accounts = [Account(facts, operator) for operator in facts["operators"]]
    if sys.argv[1] == "gone":
        for account in accounts:
            gone(account)
    elif sys.argv[1] == "times":
        times(accounts[0])
    else:
        deployed_coordinator(accounts[0])
        parties = [account for account in accounts if account.name.startswith("party-")]
        for party in parties:
            others = [other.outputs["kms_key_arn"] for other in [accounts[0], *parties] if other is not party]
            deployed_party(party, others)
        for notary in (account for account in accounts if account.name == "notary"):
            deployed_notary(notary)
    for problem in problems:
        print("not as it must be:", problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
