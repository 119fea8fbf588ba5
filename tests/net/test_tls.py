"""Contexts made of TLS options."""

from __future__ import annotations

import os
import shutil
import ssl
import stat
import tempfile
import threading
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from smtp_connection.errors import SMTPError
from smtp_connection.net.tls import context_for
from smtp_connection.options.tls import TLSOptions
from tests.support.tls_pairs import (
    HOST,
    asking,
    connect,
    key_text,
    make_certificate,
    pem,
    serving,
    serving_made,
)


@pytest.fixture(scope="module")
def client_certificate(authority: trustme.CA) -> trustme.LeafCert:
    return authority.issue_cert("client@example.org")


@pytest.fixture
def cert(client_certificate: trustme.LeafCert) -> str:
    return client_certificate.cert_chain_pems[0].bytes().decode()


@pytest.fixture
def key(client_certificate: trustme.LeafCert) -> str:
    return client_certificate.private_key_pem.bytes().decode()


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The directory for temporary files, which every test has to leave empty."""
    path = tmp_path / "temporary"
    path.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(path))
    yield path
    assert list(path.iterdir()) == []


def encrypted(key: str, passphrase: bytes) -> str:
    return key_text(serialization.load_pem_private_key(key.encode(), None), passphrase)


def unusable(options: dict[str, Any]) -> SMTPError:
    parsed = TLSOptions.parse(options)
    with pytest.raises(SMTPError) as caught:
        context_for(parsed)
    error = caught.value
    assert (error.code, error.command) == ("ETLS", "CONN")
    assert isinstance(error.__cause__, (OSError, ValueError))
    return error


# --- contexts -------------------------------------------------------------------------------------


def test_the_default_context_verifies() -> None:
    context = context_for(TLSOptions.parse(None))
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2


def test_a_context_is_used_as_it_is() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    for given in (context, {"context": context}, {"context": context, "servername": HOST}):
        assert context_for(TLSOptions.parse(given)) is context


def test_the_system_is_trusted_unless_ca_replaces_it(
    authority: trustme.CA,
    stranger: trustme.CA,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = tmp_path / "system.pem"
    authority.cert_pem.write_to_path(path)
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    server = serving(authority.issue_cert(HOST))
    connect(None, server)
    with pytest.raises(ssl.SSLCertVerificationError):
        connect({"ca": stranger.cert_pem.bytes()}, server)
    # What a package update does to the system's bundle:
    stranger.cert_pem.write_to_path(path)
    with pytest.raises(ssl.SSLCertVerificationError):
        connect(None, server)


def test_every_form_of_ca(authority: trustme.CA, stranger: trustme.CA, tmp_path: Path) -> None:
    data = authority.cert_pem.bytes()
    der = ssl.PEM_cert_to_DER_cert(data.decode())
    bundle = "\ufeff" + data.decode() + "# Autorité de chez nous\n" + data.decode()
    pem_file, der_file, bundle_file = (tmp_path / name for name in ("a.pem", "b.crt", "c.pem"))
    pem_file.write_bytes(data)
    der_file.write_bytes(der)
    bundle_file.write_text(bundle, encoding="utf-8")
    server = serving(authority.issue_cert(HOST, "192.0.2.1"))
    for ca in (data, data.decode(), der, bytearray(der), bundle, bundle.encode()):
        connect({"ca": ca}, server)
    for path in (pem_file, str(pem_file), der_file, bundle_file):
        connect({"ca": path}, server, "192.0.2.1")
    connect({"ca": [stranger.cert_pem.bytes(), pem_file]}, server)


def test_a_home_made_ca_is_good_enough(tmp_path: Path) -> None:
    """Python 3.13 refuses it by default, for want of extensions; Node does not."""
    root = make_certificate(subject="home", is_ca=True)
    leaf = make_certificate(names=[x509.DNSName(HOST)], issuer=root)
    connect({"ca": pem(root[0])}, serving_made(leaf, tmp_path / "server.pem"))


def test_a_ca_that_is_not_a_root_is_trusted_too(authority: trustme.CA) -> None:
    intermediate = authority.create_child_ca()
    connect({"ca": intermediate.cert_pem.bytes()}, serving(intermediate.issue_cert(HOST)))


def test_an_unchecked_connection(stranger: trustme.CA) -> None:
    server = serving(stranger.issue_cert("other.example"))
    assert connect({"rejectUnauthorized": False}, server).client.version()


def test_versions_ciphers_and_protocols_reach_the_wire(authority: trustme.CA, ca: str) -> None:
    server = serving(authority.issue_cert(HOST))
    server.set_alpn_protocols(["smtp", "x"])
    options = {"ca": ca, "ALPNProtocols": ["y", "x"], "maxVersion": "TLSv1.2"}
    pair = connect({**options, "ciphers": "ECDHE+AES128+AESGCM"}, server)
    assert pair.client.version() == "TLSv1.2"
    assert "AES128-GCM" in str(pair.client.cipher())
    assert pair.client.selected_alpn_protocol() == "x"
    assert connect({"ca": ca, "minVersion": "TLSv1.3"}, server).client.version() == "TLSv1.3"


def test_a_system_may_ask_for_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "system.pem").touch()  # a system of its own, so that no context is at hand
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "system.pem"))
    strict = ssl.create_default_context()
    strict.minimum_version = ssl.TLSVersion.TLSv1_3
    monkeypatch.setattr(ssl, "create_default_context", lambda: strict)
    assert context_for(TLSOptions.parse(None)).minimum_version is ssl.TLSVersion.TLSv1_3
    lower = context_for(TLSOptions.parse({"minVersion": "TLSv1.2"}))
    assert lower.minimum_version is ssl.TLSVersion.TLSv1_2


def test_a_system_without_a_usable_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "system.pem").touch()
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "system.pem"))

    def broken() -> ssl.SSLContext:
        raise ssl.SSLError("unknown error (_ssl.c:3031)")

    monkeypatch.setattr(ssl, "create_default_context", broken)
    assert str(unusable({})) == "the system's store of CAs cannot be used: unknown error"


def test_versions_below_the_default_are_had_for_asking() -> None:
    options = TLSOptions.parse({"minVersion": "TLSv1"})
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        context = context_for(options)
    assert context.minimum_version is ssl.TLSVersion.TLSv1


# --- client certificates --------------------------------------------------------------------------


def test_every_form_of_client_certificate(
    authority: trustme.CA, ca: str, cert: str, key: str, tmp_path: Path, temporary: Path
) -> None:
    server = asking(authority)
    cert_file, key_file, both_file = (tmp_path / name for name in ("c.pem", "k.pem", "both.pem"))
    cert_file.write_text(cert)
    key_file.write_text(key)
    both_file.write_text(key + cert)
    locked = encrypted(key, b"geheim")
    for given in (
        {"cert": cert, "key": key},
        {"cert": cert.encode(), "key": key.encode()},
        {"cert": cert_file, "key": str(key_file)},
        {"cert": cert_file, "key": key},
        {"cert": "\ufeff# Zoë's\n" + cert, "key": "\ufeff" + key},
        {"cert": cert, "key": key_file},
        {"cert": both_file},
        {"cert": cert + key},
        {"cert": cert, "key": locked, "passphrase": "geheim"},
        {"cert": cert + locked, "passphrase": b"geheim"},
        {"cert": cert, "key": key, "passphrase": "not needed"},
    ):
        pair = connect({"ca": ca, **given}, server)
        assert pair.server is not None
        assert "client@example.org" in str(pair.server.getpeercert())
        assert list(temporary.iterdir()) == []


@pytest.mark.skipif(os.name == "nt", reason="modes are POSIX's")
def test_a_key_lies_on_disk_for_nobody_else(
    cert: str, key: str, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[Path, int]] = []

    def load(self: ssl.SSLContext, certfile: str, keyfile: str, password: object) -> None:
        seen.extend(
            (Path(path), stat.S_IMODE(os.stat(path).st_mode)) for path in (certfile, keyfile)
        )
        assert Path(keyfile).read_text() == key
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(ssl.SSLContext, "load_cert_chain", load)
    before = os.umask(0)
    try:
        error = unusable({"ca": cert, "cert": cert, "key": key})
    finally:
        os.umask(before)
    assert "Input/output error" in str(error)
    assert [(path.parent, mode) for path, mode in seen] == [(temporary, 0o600)] * 2
    assert list(temporary.iterdir()) == []


def test_a_full_disk_leaves_nothing(
    cert: str, key: str, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(temporary)
    error = unusable({"cert": cert, "key": key})
    temporary.mkdir()
    assert str(error).startswith("tls option 'cert' with tls option 'key' cannot be used: No such")


# --- what cannot be used --------------------------------------------------------------------------


def test_files_that_cannot_be_read(cert: str, tmp_path: Path) -> None:
    missing, directory = str(tmp_path / "missing.pem"), str(tmp_path)
    assert str(unusable({"ca": missing})) == (
        f"tls option 'ca' (file {missing!r}) cannot be used: No such file or directory"
    )
    assert f"tls option 'cert' (file {missing!r})" in str(unusable({"cert": missing, "key": cert}))
    assert f"tls option 'key' (file {missing!r})" in str(unusable({"cert": cert, "key": missing}))
    for name in ("ca", "cert"):
        assert f"tls option {name!r} (file {directory!r})" in str(unusable({name: directory}))
    assert "tls option 'ca' (file 'a\\x00b')" in str(unusable({"ca": Path("a\0b")}))


def test_a_ca_that_is_none(ca: str, key: str, tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    path.write_text("nothing of the kind")
    assert str(unusable({"ca": path})).startswith(f"tls option 'ca' (file {str(path)!r}) cannot be")
    damaged = ca.replace(ca.splitlines()[1], "AAAA")
    for given in (b"DER", b"", damaged, ca + damaged, key):
        error = unusable({"ca": given})
        assert str(error).startswith("tls option 'ca' cannot be used: ")
        assert "_ssl.c" not in str(error)


def test_an_unknown_cipher() -> None:
    assert str(unusable({"ciphers": "NO-SUCH"})) == (
        "tls option 'ciphers' 'NO-SUCH' cannot be used: No cipher can be selected."
    )


def test_a_client_certificate_that_is_none(
    authority: trustme.CA, cert: str, key: str, tmp_path: Path
) -> None:
    path = tmp_path / "cert.pem"
    path.write_text(cert)
    text = "cannot be used: it holds no"
    assert str(unusable({"cert": key})) == f"tls option 'cert' {text} CERTIFICATE in PEM"
    assert str(unusable({"cert": path})) == (
        f"tls option 'cert' (file {str(path)!r}) {text} PRIVATE KEY in PEM"
    )
    assert str(unusable({"cert": cert, "key": path})) == (
        f"tls option 'key' (file {str(path)!r}) {text} PRIVATE KEY in PEM"
    )
    other = authority.issue_cert("x@example.org").private_key_pem.bytes()
    assert "the key belongs to another certificate" in str(unusable({"cert": path, "key": other}))
    damaged = cert.replace(cert.splitlines()[1], "AAAA")
    assert str(unusable({"cert": damaged, "key": key})).startswith(
        "tls option 'cert' with tls option 'key' cannot be used: "
    )


def test_a_locked_key_is_an_error_and_no_prompt(
    cert: str, key: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "key.pem"
    path.write_text(encrypted(key, b"geheim"))
    where = f"tls option 'cert' with tls option 'key' (file {str(path)!r}) cannot be used:"
    assert f"{where} the key is encrypted, and there is no 'passphrase' (" in str(
        unusable({"cert": cert, "key": path})
    )
    for wrong in ("S3CR3T", ""):
        error = unusable({"cert": cert, "key": path, "passphrase": wrong})
        assert f"{where} the key is encrypted, and not with this 'passphrase' (" in str(error)
        assert "S3CR3T" not in "".join(traceback.format_exception(error))
    error = unusable({"cert": cert, "key": path, "passphrase": "S3CR3T" * 999})
    assert "password cannot be longer than" in str(error)
    assert "S3CR3T" not in "".join(traceback.format_exception(error))
    assert capfd.readouterr() == ("", "")


def test_no_failure_shows_a_key(cert: str, key: str) -> None:
    body = key.splitlines()[1]
    for given in (key.replace("\n", "\\n"), key.replace(body, body[:-2] + "!!"), cert):
        error = unusable({"cert": cert, "key": given})
        assert body[:16] not in "".join(traceback.format_exception(error)) + repr(error)


# --- caching --------------------------------------------------------------------------------------


def test_contexts_are_kept_by_options(ca: str) -> None:
    first = context_for(TLSOptions.parse({"ca": ca, "servername": "a.example"}))
    assert context_for(TLSOptions.parse({"ca": ca.encode(), "servername": "b.example"})) is first
    assert context_for(TLSOptions.parse({"ca": ca, "rejectUnauthorized": False})) is not first


def test_the_number_of_contexts_kept_is_bounded(ca: str) -> None:
    def context(number: int) -> ssl.SSLContext:
        return context_for(TLSOptions.parse({"ca": ca, "ALPNProtocols": f"x{number}"}))

    first, last = context(0), [context(number) for number in range(1, 100)][-1]
    assert context(99) is last
    assert context(0) is not first


def test_a_renewed_certificate_is_read(authority: trustme.CA, ca: str, tmp_path: Path) -> None:
    server = asking(authority)
    path = tmp_path / "both.pem"
    options = {"ca": ca, "cert": path}

    def renew(name: str) -> None:
        fresh = tmp_path / "fresh.pem"
        authority.issue_cert(name).private_key_and_cert_chain_pem.write_to_path(fresh)
        fresh.replace(path)

    renew("old@example.org")
    connect(options, server)
    kept = context_for(TLSOptions.parse(options))
    assert context_for(TLSOptions.parse(options)) is kept
    renew("new@example.org")
    pair = connect(options, server)
    assert pair.server is not None
    assert "new@example.org" in str(pair.server.getpeercert())


@pytest.mark.parametrize("name", ["ca", "cert", "key"])
def test_each_file_is_watched(name: str, ca: str, cert: str, key: str, tmp_path: Path) -> None:
    contents = {"ca": ca, "cert": cert, "key": key}
    files = {name: tmp_path / f"{name}.pem" for name in contents}
    for each, path in files.items():
        path.write_text(contents[each])
    options = TLSOptions.parse(files)
    first = context_for(options)
    assert context_for(options) is first
    os.utime(files[name], (1, 1))
    second = context_for(options)
    assert second is not first
    files[name].write_text(contents[name] + "\n")
    os.utime(files[name], (1, 1))
    third = context_for(options)
    assert third is not second
    shutil.copy2(files[name], tmp_path / "same")
    (tmp_path / "same").replace(files[name])
    assert context_for(options) is not third


def test_a_failure_is_not_kept(ca: str, tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    unusable({"ca": path})
    path.write_text(ca)
    assert context_for(TLSOptions.parse({"ca": path})).get_ca_certs()


def test_threads_may_ask_at_once(ca: str) -> None:
    got: list[ssl.SSLContext] = []

    def ask(number: int) -> None:
        for turn in range(40):
            options = {"ca": ca, "ALPNProtocols": f"t{(number + turn) % 40}"}
            got.append(context_for(TLSOptions.parse(options)))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 160
