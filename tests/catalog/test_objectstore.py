"""The object store, asked by boto3."""

from __future__ import annotations

from typing import Any

import pytest

from oslet.catalog import ObjectStore

from .conftest import Port, Serve

pytestmark = [pytest.mark.slow, pytest.mark.network]


def test_buckets_objects_versions_and_parts(serve: Serve, free_port: Port) -> None:
    import boto3
    import botocore.exceptions

    served = serve(ObjectStore(port=free_port()))
    keys = {"aws_access_key_id": "any", "aws_secret_access_key": "any", "region_name": "us-east-1"}
    s3: Any = boto3.client("s3", endpoint_url=served.url, **keys)
    s3.create_bucket(Bucket="papers")
    s3.put_object(Bucket="papers", Key="a/b.txt", Body=b"hello", Metadata={"by": "jo"})
    found = s3.get_object(Bucket="papers", Key="a/b.txt")
    assert (found["Body"].read(), found["Metadata"]) == (b"hello", {"by": "jo"})
    listed = s3.list_objects_v2(Bucket="papers", Delimiter="/")
    assert [each["Prefix"] for each in listed["CommonPrefixes"]] == ["a/"]
    s3.put_bucket_versioning(Bucket="papers", VersioningConfiguration={"Status": "Enabled"})
    first, _ = (s3.put_object(Bucket="papers", Key="v", Body=body)["VersionId"] for body in (b"one", b"two"))
    assert s3.get_object(Bucket="papers", Key="v", VersionId=first)["Body"].read() == b"one"
    upload = {"Bucket": "papers", "Key": "big"}
    upload["UploadId"] = s3.create_multipart_upload(**upload)["UploadId"]
    parts = [s3.upload_part(**upload, PartNumber=n, Body=bytes(5 << 20)) for n in (1, 2)]
    done = [{"PartNumber": n, "ETag": part["ETag"]} for n, part in enumerate(parts, 1)]
    s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": done})
    assert s3.head_object(Bucket="papers", Key="big")["ContentLength"] == 10 << 20
    with pytest.raises(botocore.exceptions.ClientError, match="NoSuchKey"):
        s3.get_object(Bucket="papers", Key="none")
