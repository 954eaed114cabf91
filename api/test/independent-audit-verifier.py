"""Verifies an audit export against one signed checkpoint. Written from sdk/FORMAT.md, sharing no code with the platform.

usage: independent-audit-verifier.py LOG.jsonl NOTE PUBLIC_KEY.pem
"""
import base64, hashlib, json, subprocess, sys, tempfile


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def root(leaves):
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return sha256(b"\x01", root(leaves[:split]), root(leaves[split:]))


def verify_note(path, key_path):
    with open(path, encoding="utf-8") as file:
        text, signatures = file.read().split("\n\n", 1)
    text += "\n"
    origin, size, hashed = text.split("\n")[:3]
    dash, name, blob = signatures.strip().split(" ")
    raw = base64.b64decode(blob)
    der = base64.b64decode("".join(open(key_path).read().split("\n")[1:-2]))
    hint = sha256(name.encode(), b"\n\x01", der[-32:])[:4]
    with tempfile.NamedTemporaryFile() as signed, tempfile.NamedTemporaryFile() as signature:
        signed.write(text.encode()); signed.flush()
        signature.write(raw[4:]); signature.flush()
        check = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", key_path, "-rawin", "-in", signed.name, "-sigfile", signature.name]
        ok = subprocess.run(check, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0
    if not ok or raw[:4] != hint or name != origin or dash != "—":
        return None
    return origin, int(size), base64.b64decode(hashed)


def verify_log(path, size, expected_root, org):
    leaves, prev, last = [], "0" * 64, ""
    for number, line in enumerate(open(path, encoding="utf-8"), 1):
        row = json.loads(line)
        event = json.loads(row["event"])
        canonical = json.dumps(event, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        good = (
            canonical == row["event"]
            and sha256(b"audit-event-v1\0", row["event"].encode()).hex() == row["hash"]
            and row["seq"] == event["seq"] == number
            and event["prev"] == prev
            and event["org"] == org
            and event["ts"] >= last
        )
        if not good:
            return "tampered %d chain" % number
        for name, value in row.get("personal", {}).items():
            committed = event.get("personal", {}).get(name)
            if sha256(b"audit-personal-v1\0", bytes.fromhex(value["salt"]), value["value"].encode()).hex() != committed:
                return "tampered %d personal" % number
        prev, last = row["hash"], event["ts"]
        leaves.append(sha256(b"\0", row["event"].encode()))
    if len(leaves) < size:
        return "tampered %d cut" % (len(leaves) + 1)
    if root(leaves[:size]) != expected_root:
        return "tampered %d root" % size
    return "ok %d" % len(leaves)


def main():
    log, note, key = sys.argv[1:]
    signed = verify_note(note, key)
    if signed is None:
        print("bad signature")
        return
    origin, size, expected_root = signed
    print(verify_log(log, size, expected_root, origin.split("/audit/")[1]))


main()
