"""Fills what Terraform made for a notary, as docs/notary.md says: the seed into its secret, an approved survey into its bucket.

    fill_notary.py SECRET_ARN SEED_FILE S3_URI SURVEY_FILE

The seed is read from a file, never given as an argument. Endpoint and credentials come from the environment.
"""

import json
import os
import sys
from urllib.parse import urlsplit

import boto3


def main() -> int:
    if len(sys.argv) != 5:
        print(__doc__, file=sys.stderr)
        return 2
    secret, seed, place, survey = sys.argv[1:]
    session = boto3.session.Session(region_name=os.environ.get("AWS_REGION"))
    with open(seed, encoding="ascii") as file:
        session.client("secretsmanager").put_secret_value(SecretId=secret, SecretString=file.read().strip())
    with open(survey, "rb") as file:
        document = file.read()
    json.loads(document)
    uri = urlsplit(place)
    key = f"{uri.path.strip('/')}/survey.json"
    session.client("s3").put_object(Bucket=uri.netloc, Key=key, Body=document)
    return 0


if __name__ == "__main__":
    sys.exit(main())
