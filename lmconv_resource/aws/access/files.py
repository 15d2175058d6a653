"""A botocore session that reads the shared config and credentials of the files it is given, any number of each."""

import configparser
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import cached_property
from typing import Any

from botocore.configloader import load_config, raw_config_parse
from botocore.configprovider import ConstantProvider
from botocore.exceptions import BotoCoreError, ConfigNotFound, ConfigParseError
from botocore.session import Session

from lmconv_resource.errors import CONNECT_ACTION, SettingsError, Subject
from lmconv_resource.text import key, on_settings, without_credentials, without_endpoint_credentials

STATIC_KEYS = ("aws_access_key_id", "aws_secret_access_key")


class FilesSession(Session):
    """A session on a stack's `sharedConfigFiles` and `sharedCredentialsFiles`; without some, on botocore's own."""

    def __init__(self, profile: str | None, config_files: Iterable[str], credentials_files: Iterable[str]) -> None:
        super().__init__(profile=profile)
        # An empty name in the environment is none, as for the AWS CLI.
        name = profile or os.environ.get("AWS_DEFAULT_PROFILE") or os.environ.get("AWS_PROFILE") or None
        self.get_component("config_store").set_config_provider("profile", ConstantProvider(name))
        self.profile_in_use = name or "default"
        self._files = {"config_file": tuple(config_files), "credentials_file": tuple(credentials_files)}
        for name, paths in self._files.items():
            if paths:  # what reads one file only reads the one that wins
                self.set_config_variable(name, paths[-1])

    @property
    def has_many_files(self) -> bool:
        """Whether there is more of one kind than botocore's own credential providers read."""
        return any(len(paths) > 1 for paths in self._files.values())

    @cached_property
    def full_config(self) -> dict[str, Any]:
        """All that stands in the files. The last one wins key by key, and credentials over config, as in pulumi-aws.

        https://pkg.go.dev/github.com/aws/aws-sdk-go-v2/config#WithSharedConfigFiles is what pulumi-aws reads them with.
        """
        if not self.has_many_files:
            return dict(super().full_config)
        merged: dict[str, Any] = {"profiles": {}}
        for kind, paths in self._files.items():
            for path in paths or (self.get_config_variable(kind),):
                with suppress(ConfigNotFound):  # the default one need not be there; the stack's have been looked for
                    is_config = kind == "config_file"
                    _merge(merged, load_config(path) if is_config else {"profiles": raw_config_parse(path)})
        return merged

    @property
    def profile_chain(self) -> dict[str, Mapping[str, Any]]:
        """What stands in the profile in use, by its name, and after it in those that its role is assumed with."""
        profiles, name = self.full_config["profiles"], self.profile_in_use
        chain: dict[str, Mapping[str, Any]] = {}
        while name in profiles and name not in chain:
            content = profiles[name]
            if chain and any(key in content for key in STATIC_KEYS):  # botocore then takes these, and not the role
                content = {key: value for key, value in content.items() if key in STATIC_KEYS}
            chain[name] = content
            # A token file goes before a role's source.
            name = content.get("source_profile", "") if assumes_role(content) else ""
        return chain


def assumes_role(profile: Mapping[str, Any]) -> bool:
    """Return whether the credentials of a profile are those of a role that other credentials assume."""
    return "role_arn" in profile and "web_identity_token_file" not in profile


def to_reason(cause: BotoCoreError | ValueError) -> str:
    """Return why settings can't be used: without what stands in a file, or a password in an endpoint."""
    if not isinstance(cause, ConfigParseError):
        hide = without_credentials if isinstance(cause, BotoCoreError) else without_endpoint_credentials
        return hide(str(cause)).rstrip(".")
    path, error = cause.kwargs.get("path"), cause.kwargs.get("error")
    if isinstance(error, UnicodeDecodeError):
        return f"{path} can't be read: it is not UTF-8 text"
    lines = [line for line, _ in getattr(error, "errors", ())]
    line = getattr(error, "lineno", None) or next(iter(lines), None)
    why = {
        configparser.MissingSectionHeaderError: "stands under no [section]",
        configparser.DuplicateSectionError: "begins a section for the second time",
        configparser.DuplicateOptionError: "sets a key for the second time",
    }.get(type(error), "is not KEY = VALUE")
    return f"{path} can't be read: " + (f"line {line} {why}" if line else "it is not in the form of AWS's files")


def _merge(into: dict[str, Any], more: Mapping[str, Any]) -> None:
    if "aws_access_key_id" in more:  # a token belongs to the keys beside it
        for key in ("aws_session_token", "aws_security_token"):
            into.pop(key, None)
    for key, value in more.items():
        if isinstance(value, Mapping) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = value


def region_of_profile(profile: str | None, config_files: Iterable[str], credentials_files: Iterable[str]) -> str | None:
    """Return the region of a profile in these files, or in the default ones; None where it has none.

    Raise a SettingsError where there is no such profile, or a file can't be read.
    """
    try:
        region: str | None = FilesSession(profile, config_files, credentials_files).get_config_variable("region")
    except BotoCoreError as cause:
        remedy = on_settings(f"Check {key('profile')} (`pulumi config`), AWS_PROFILE and the AWS config file")
        raise SettingsError(Subject(CONNECT_ACTION), to_reason(cause), remedy) from cause
    return region
