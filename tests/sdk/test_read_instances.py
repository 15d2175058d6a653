"""`read_instances`: tables as people have them, as a fleet takes them."""

import json
from pathlib import Path

import pulumi
import pytest

from lmconv_resource import read_instances

ARN, OTHER = (f"arn:aws:ec2:eu-west-1:123456789012:instance/i-0{n}" for n in (1, 2))
ROLE = "arn:aws:iam::123456789012:role/Convert"
BOTH = [
    {
        "resource_arn": ARN,
        "destination_license_context": {"usage_operation": "RunInstances:0002"},
        "source_license_context": {"usage_operation": "RunInstances:0800"},
        "name": "web-1",
        "profile": "prod",
    },
    {
        "resource_arn": OTHER,
        "destination_license_context": {"usage_operation": "RunInstances:0202"},
        "assume_role": {"role_arn": ROLE},
    },
]
LINES = [
    "ARN;To;from;Name;profile;Role",
    f"{ARN};Windows;windows  byol;web-1;prod;",
    ";;;;;",
    f"{OTHER};0202;;;;{ROLE}",
]


@pytest.mark.parametrize(
    ("name", "data"),
    {
        "excel.csv": b"\xef\xbb\xbf" + "\r\n".join(LINES).encode(),
        "commas.csv": "\n".join(LINES).replace(";", ",").encode(),
        "table.json": json.dumps(
            [
                {"arn": ARN, "to": "Windows", "from": "RunInstances:0800", "name": "web-1", "profile": "prod"},
                {"ARN": OTHER, "to": {"usage_operation": "RunInstances:0202"}, "role": {"role_arn": ROLE}},
            ]
        ).encode(),
        "table.yml": f"- {{arn: '{ARN}', to: WINDOWS, from: Windows BYOL, name: web-1, profile: prod}}\n"
        f"- {{arn: '{OTHER}', to: 'RunInstances:0202', role: '{ROLE}'}}".encode(),
    }.items(),
)
def test_a_table_is_read(tmp_path: Path, name: str, data: bytes) -> None:
    """The form, the case of names and the way in which a license is named do not matter."""
    (tmp_path / name).write_bytes(data)
    assert read_instances(tmp_path / name) == BOTH
    assert read_instances(str(tmp_path / name)) == BOTH


@pytest.mark.parametrize(
    ("name", "data", "error"),
    [
        (
            "a.csv",
            f"arn,to\n{ARN},SQL Server Web\n{ARN},Server Web SQL Windows\n,Windows",
            "line 3: 'Server Web SQL Windows' is not a usage operation: use one of Windows with SQL Server Web "
            "(RunInstances:0202)\nline 4: it has no arn",
        ),
        ("a.csv", f"arn,to\n{ARN},Solaris", "use one of Linux/UNIX (RunInstances), Red Hat BYOL Linux"),
        (
            "a.csv",
            f"arn,form\n{ARN},Windows",
            "line 2: 'form' is not a column: there are arn, to, from, name, profile, role",
        ),
        ("a.csv", f"arn,to\n{ARN},Windows,more", "line 2: it has more cells than the line of names: 'more'"),
        ("a.csv", f'arn,to\n"{ARN},Windows', "unexpected end of data"),
        ("a.csv", "arn\n" + "x,y\n" * 25, "and 5 more"),
        ("a.csv", b"arn;name\n\xe4;\xf6", "it is not UTF-8. In Excel, save it as 'CSV UTF-8'"),
        ("a.json", "{}", "it is not a list of objects, each with an arn"),
        ("a.json", f'[{{"arn": "{ARN}", "name": 7}}]', "entry 1: name 7 is not a string"),
        ("a.yaml", "- [", "while parsing a flow node"),
        ("a.json", "[", "Expecting value"),
        ("none.csv", None, "it can't be read: No such file or directory"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, name: str, data: str | bytes | None, error: str) -> None:
    """The error names the file and each line that is wrong, and Pulumi shows it without a traceback."""
    if data is not None:
        (tmp_path / name).write_bytes(data if isinstance(data, bytes) else data.encode())
    with pytest.raises(pulumi.RunError) as raised:
        read_instances(tmp_path / name)
    assert str(raised.value).startswith(str(tmp_path / name))
    assert error in str(raised.value)
