"""Tests of the tag in pages that have a Content-Security-Policy: python -m unittest pages_csp_test, in this folder."""

import unittest

from pages_test import BROWSER, TAG, ask, injected, page, pages, tag


class PolicyTest(unittest.TestCase):
    def admit(self, *policies):
        """The policies afterwards, and the tag's nonce; a fresh one is written as FRESH."""
        headers = [("Content-Type", "text/html")] + [("content-Security-policy", policy) for policy in policies]
        nonces = []

        def noted(nonce):
            nonces.append(nonce)
            return tag(nonce)

        def app(environ, start_response):
            start_response("200 OK", headers)
            return [b"<head>"]

        kept = []

        def start_response(status, headers):
            kept.extend(value for name, value in headers if name == "content-Security-policy")

        body = b"".join(pages.inject(app, noted)(dict(BROWSER, REQUEST_METHOD="GET"), start_response))
        if not nonces:
            self.assertEqual(body, b"<head>")
            return kept, None
        self.assertEqual(body, b"<head>" + tag(nonces[0]).encode())
        fresh = nonces[0] if len(nonces[0]) == 32 else "no fresh one"
        return [value.replace(fresh, "FRESH") for value in kept], nonces[0].replace(fresh, "FRESH")

    def test_a_policy_that_admits_the_script_stays(self):
        for policy in ("default-src 'self'", "img-src *", "script-src 'self' 'unsafe-inline'; style-src 'none'", "default-src * 'self'"):
            self.assertEqual(self.admit(policy), ([policy], ""))

    def test_a_nonce_of_the_policy_is_used(self):
        for policy in (
            "script-src 'nonce-YWJj=='",
            "script-src 'strict-dynamic' 'nonce-YWJj=='; object-src 'none'",
            "default-src 'self' 'nonce-YWJj=='",
            "script-src 'none'; script-src-elem 'nonce-YWJj=='",
            "default-src 'self'; script-src 'nonce-YWJj==' 'unsafe-inline'",
        ):
            self.assertEqual(self.admit(policy), ([policy], "YWJj=="))

    def test_else_a_nonce_goes_into_the_directive_that_governs_scripts(self):
        for policy, want in {
            "script-src https://cdn.example": "script-src https://cdn.example 'nonce-FRESH'",
            "script-src 'none'": "script-src 'nonce-FRESH'",
            "script-src": "script-src 'nonce-FRESH'",
            "script-src 'self' 'strict-dynamic' 'sha256-x='": "script-src 'self' 'strict-dynamic' 'sha256-x=' 'nonce-FRESH'",
            "script-src 'self'; SCRIPT-SRC-ELEM http://x": "script-src 'self'; script-src-elem http://x 'nonce-FRESH'",
            "script-src 'unsafe-inline' 'strict-dynamic'": "script-src 'unsafe-inline' 'strict-dynamic' 'nonce-FRESH'",
            "script-src http://x; script-src *": "script-src http://x 'nonce-FRESH'",
            "default-src http://x": "default-src http://x; script-src http://x 'nonce-FRESH'; connect-src http://x 'self'",
            "default-src 'none'": "default-src 'none'; script-src 'nonce-FRESH'; connect-src 'self'",
            "script-src 'unsafe-inline' 'sha256-x='": "script-src 'unsafe-inline' 'sha256-x=' 'nonce-FRESH'",
        }.items():
            self.assertEqual(self.admit(policy), ([want], "FRESH"))

    def test_unsafe_inline_is_not_switched_off_by_a_nonce(self):
        self.assertEqual(self.admit("script-src 'unsafe-inline'"), (["script-src 'unsafe-inline' 'self'"], ""))
        self.assertEqual(
            self.admit("default-src 'Unsafe-Inline' data:; connect-src *"),
            (["default-src 'Unsafe-Inline' data:; connect-src *; script-src 'Unsafe-Inline' data: 'self'"], ""),
        )

    def test_the_event_source_may_connect(self):
        for policy, want in {
            "connect-src 'none'": "connect-src 'self'",
            "connect-src https://api.example": "connect-src https://api.example 'self'",
            "default-src 'self'; connect-src 'SELF'": "default-src 'self'; connect-src 'SELF'",
            "connect-src *": "connect-src *",
        }.items():
            self.assertEqual(self.admit(policy), ([want], ""))
        self.assertEqual(
            self.admit("default-src 'nonce-abc' https:"), (["default-src 'nonce-abc' https:; connect-src https: 'self'"], "abc")
        )

    def test_every_policy_of_every_header_admits_it(self):
        self.assertEqual(
            self.admit("script-src 'nonce-abc', script-src http://x", "img-src *", "script-src 'unsafe-inline'"),
            (["script-src 'nonce-abc', script-src http://x 'nonce-abc'", "img-src *", "script-src 'unsafe-inline' 'self'"], "abc"),
        )
        self.assertEqual(
            self.admit("script-src 'nonce-abc'", "script-src 'nonce-def'"),
            (["script-src 'nonce-abc'", "script-src 'nonce-def' 'nonce-abc'"], "abc"),
        )

    def test_a_sandbox_that_stops_the_script_is_left_alone(self):
        for policy in ("sandbox", "default-src 'none'; sandbox allow-scripts", "img-src *, Sandbox allow-forms"):
            self.assertEqual(self.admit(policy), ([policy], None))
        self.assertEqual(self.admit("sandbox allow-scripts allow-same-origin"), (["sandbox allow-scripts allow-same-origin"], ""))

    def test_report_only_stays(self):
        app = page(b"<head>", Content_Security_Policy_Report_Only="script-src 'none'")
        answer = ask(injected(app))
        self.assertEqual((answer.headers["content-security-policy-report-only"], answer.body), ("script-src 'none'", b"<head>" + TAG))


if __name__ == "__main__":
    unittest.main()
