"""What is recorded of a call."""

import unittest

from tercet_lambda_executor.recorder import record_of


class Records(unittest.TestCase):
    def test_names_and_conditions_without_what_the_call_carries(self):
        headers = {"User-Agent": "aws-sdk-rust/1.3 app/party", "if-none-match": "*", "x-amz-content-sha256": "00"}
        parameters = {"Bucket": "shares", "Key": "store/log/1", "Body": b"a share"}
        record = record_of("s3", "PutObject", parameters, headers, "1", None)
        self.assertEqual(record["request"], {"Bucket": "shares", "Key": "store/log/1"})
        self.assertEqual((record["app"], record["headers"]), ("party", {"if-none-match": "*"}))
        secret = record_of("secretsmanager", "PutSecretValue", {"SecretId": "s", "SecretString": "seed"}, {}, "1", None)
        self.assertNotIn("seed", str(secret))

    def test_a_transaction_names_its_tables(self):
        parameters = {"TransactItems": [{"Put": {"TableName": "registry", "Item": {"pk": {"S": "x"}}}}]}
        record = record_of("dynamodb", "TransactWriteItems", parameters, {}, "1", "arn:aws:sts::1:assumed-role/api/x")
        self.assertEqual(record["request"], {"TransactItems": [{"Put": {"TableName": "registry"}}]})


if __name__ == "__main__":
    unittest.main()
