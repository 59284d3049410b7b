"""Uploaded models lie where their URI says: in a folder, or in a bucket."""

from pathlib import Path

import pytest

from object_stores import s3_server
from tiltyard.failure import Failure
from tiltyard.stores import BucketStore, FolderStore, digest_of, store_at


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "m.onnx"
    path.write_bytes(b"bytes")
    return path


def test_a_folder_keeps_a_file_under_the_uri_by_which_pods_see_it(
    file: Path, tmp_path: Path
) -> None:
    plain = store_at(tmp_path / "store").put(file, "w/m/1/m.onnx")
    assert Path(plain.removeprefix("file://")).read_bytes() == b"bytes"
    shared = FolderStore(tmp_path / "store", "pvc://models").put(file, "w/m/1/m.onnx")
    assert shared == "pvc://models/w/m/1/m.onnx"
    with pytest.raises(Failure, match=r"m\.onnx cannot be kept in .*: File exists"):
        FolderStore(file).put(file, "m.onnx")
    with pytest.raises(Failure, match=r"none: cannot be read: No such file"):
        digest_of(tmp_path / "none")


def test_a_bucket_keeps_a_file_and_says_why_it_cannot(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with s3_server() as server:
        for name, value in server.variables().items():
            monkeypatch.setenv(name, value)
        server.client().create_bucket(Bucket="models")
        store = BucketStore("s3://models/team", "models-s3")
        assert store.put(file, "w/m/1/m.onnx") == "s3://models/team/w/m/1/m.onnx"
        kept = server.client().get_object(Bucket="models", Key="team/w/m/1/m.onnx")
        assert kept["Body"].read() == b"bytes"
        gone = BucketStore("s3://none/team", endpoint=server.url)
        with pytest.raises(Failure, match=r"cannot be written to s3://none/team: "):
            gone.put(file, "m.onnx")
    assert isinstance(store_at("s3://models/team"), BucketStore)
