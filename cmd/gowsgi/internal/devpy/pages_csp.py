"""Content-Security-Policy: lets the development server's script into a page, and as little else as can be.

It runs as the module _gowsgi_dev_pages_csp, on CPython 3.9 and newer, with the standard library alone. Terms and rules: W3C, Content
Security Policy Level 3. A policy in a <meta> element is not looked at: the script stands before it, so only its connect-src could matter.
"""

import os
import re

_NONCE = re.compile(r"'nonce-([A-Za-z0-9+/_-]+={0,2})'$", re.IGNORECASE)
_NONCE_OR_HASH = re.compile(r"'(nonce|sha256|sha384|sha512)-", re.IGNORECASE)
_SCRIPTS = ("script-src-elem", "script-src", "default-src")  # the first that is there governs <script>
_CONNECTIONS = ("connect-src", "default-src")


def admit(headers):
    """Opens the policies of a response to one script of the same origin, and to that script's EventSource.

    headers: (name, value) pairs. Returns (headers, nonce): nonce is what the script's element must have, "" where it needs none. None where
    a policy's sandbox lets no script run or gives the page another origin. Content-Security-Policy-Report-Only stays as it is.
    """
    fields = {}  # the policies by the place of their header
    for at, (name, value) in enumerate(headers):
        if name.lower() == "content-security-policy":
            fields[at] = [_parse(policy) for policy in value.split(",")]
    policies = [policy for field in fields.values() for policy in field]
    if any("sandbox" in p and not {"allow-scripts", "allow-same-origin"} <= {s.lower() for s in p["sandbox"]} for p in policies):
        return None
    nonce = next((n for policy in policies for n in _nonces(policy.get(_governing(policy, _SCRIPTS), ()))), "") or os.urandom(16).hex()
    uses = [_admit_script(policy, nonce) for policy in policies]
    for policy in policies:
        _admit_events(policy)
    headers = list(headers)
    for at, field in fields.items():
        headers[at] = headers[at][0], ", ".join(_text(policy) for policy in field)
    return headers, nonce if any(uses) else ""


def _parse(policy):
    """Sources by the name of their directive. Of two directives with one name the first counts."""
    directives = {}
    for directive in policy.split(";"):
        name, *sources = directive.split() or [""]
        if name:
            directives.setdefault(name.lower(), sources)
    return directives


def _text(policy):
    return "; ".join(" ".join([name, *sources]) for name, sources in policy.items())


def _governing(policy, names):
    return next((name for name in names if name in policy), None)


def _nonces(sources):
    return [m.group(1) for m in map(_NONCE.match, sources) if m]


def _admit_script(policy, nonce):
    """Whether the script needs the nonce under this policy."""
    name = _governing(policy, _SCRIPTS)
    if name is None:
        return False
    sources = policy[name]
    known = {source.lower() for source in sources}
    if nonce in _nonces(sources):
        return True
    dynamic = "'strict-dynamic'" in known  # which switches 'self' and 'unsafe-inline' off
    if "'self'" in known and not dynamic:
        return False
    # A nonce admits this one script only, where 'self' would admit scripts that production refuses. But it switches 'unsafe-inline' off.
    inline = "'unsafe-inline'" in known and not dynamic and not any(map(_NONCE_OR_HASH.match, sources))
    # default-src is copied: a nonce in it would count for styles too.
    target = "script-src" if name == "default-src" else name
    policy[target] = [s for s in sources if s.lower() != "'none'"] + ["'self'" if inline else "'nonce-%s'" % nonce]
    return not inline


def _admit_events(policy):
    name = _governing(policy, _CONNECTIONS)
    if name is not None and not {"'self'", "*"} & {source.lower() for source in policy[name]}:
        policy["connect-src"] = [source for source in policy[name] if not source.startswith("'")] + ["'self'"]
