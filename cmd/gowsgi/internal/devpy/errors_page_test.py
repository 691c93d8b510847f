"""Tests of the answer to a request that failed: python -m unittest errors_page_test, in this folder."""

import json
import sys
import unittest

import errors_test as base


class AnswerTest(base.ProjectTest):
    def setUp(self):
        super().setUp()
        self.failed = self.report(base.caught(self.module("shop", "def view(d):\n    return d['x']\n").view, {}))

    def test_who_gets_a_page_and_who_json_or_text(self):
        for want, environ in (
            ("text/html; charset=utf-8", {"HTTP_ACCEPT": base.BROWSER}),
            ("text/html; charset=utf-8", {"HTTP_ACCEPT": "text/html, */*; q=0.01", "HTTP_X_REQUESTED_WITH": "XMLHttpRequest"}),
            ("application/json", {"HTTP_ACCEPT": "application/json"}),
            ("application/json", {"HTTP_ACCEPT": "application/problem+json"}),
            ("application/json", {"HTTP_ACCEPT": "application/json, text/html;q=0.9"}),
            ("application/json", {"HTTP_ACCEPT": "text/html;q=0, application/json;q=0.1"}),
            ("application/json", {"HTTP_ACCEPT": "*/*", "HTTP_X_REQUESTED_WITH": "fetch"}),
            ("application/json", {"HTTP_ACCEPT": "*/*", "CONTENT_TYPE": "application/json; charset=utf-8"}),
            ("text/plain; charset=utf-8", {"HTTP_ACCEPT": "*/*"}),
            ("text/plain; charset=utf-8", {"HTTP_ACCEPT": ""}),
            ("text/plain; charset=utf-8", {"HTTP_ACCEPT": "text/html;q=.."}),
        ):
            status, headers, _ = base.answer(self.failed, **environ)
            self.assertEqual((status, headers["Content-Type"]), ("500 Internal Server Error", want), environ)
            self.assertEqual(headers["Cache-Control"], "no-store")
            self.assertIn("Accept", headers["Vary"])

    def test_json_has_the_exception_and_its_traceback(self):
        error = json.loads(base.answer(self.failed, HTTP_ACCEPT="application/json")[2])["error"]
        self.assertEqual((error["type"], error["message"]), ("KeyError", "'x'"))
        self.assertEqual("\n".join(error["traceback"]), self.failed.text)

    def test_text_is_the_traceback(self):
        self.assertEqual(base.answer(self.failed, HTTP_ACCEPT="*/*")[2], self.failed.text + "\n")

    def test_pages_under_names_that_others_can_have_are_not_told(self):
        for host in ("", "localhost", "LOCALHOST:8000", "shop.localhost:8000", "127.0.0.1:8000", "[::1]:8000", "devbox", "shop.test", "10.0.0.1"):
            self.assertIn("KeyError", base.answer(self.failed, HTTP_HOST=host)[2], host)
        for host in ("evil.example", "evil.example:8000", "localhost.evil.example", "127.0.0.1.evil.example", "test.evil", "1.2.3.4.x"):
            for accept in (base.BROWSER, "application/json", "*/*"):
                status, headers, body = base.answer(self.failed, HTTP_HOST=host, HTTP_ACCEPT=accept)
                self.assertEqual(status, "500 Internal Server Error")
                self.assertNotIn("KeyError", body, host)
                self.assertIn("localhost", body)

    def test_only_clients_on_this_machine_are_told(self):
        for address in ("127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", ""):
            self.assertIn("KeyError", base.answer(self.failed, REMOTE_ADDR=address)[2])
        for address in ("192.168.1.2", "::ffff:10.0.0.1", "fe80::1", "1.127.0.1", "localhost.evil"):
            for accept in (base.BROWSER, "application/json", "*/*"):
                status, headers, body = base.answer(self.failed, "<script src=x>", REMOTE_ADDR=address, HTTP_ACCEPT=accept)
                self.assertEqual((status, body), ("500 Internal Server Error", "Internal Server Error\n"))
                self.assertEqual(headers["Cache-Control"], "no-store")

    def test_the_page_is_whole_small_and_asks_for_nothing_but_what_the_caller_put_in(self):
        script = '<script src="/__gowsgi__/dev.js"></script>'
        status, headers, body = base.answer(self.failed, script)
        document = base.Document(body)
        self.assertLess(body.index(script), body.index("</head>"))
        self.assertLess(len(body), 100_000)
        (nonce,) = document.nonces
        policy = headers["Content-Security-Policy"]
        self.assertIn("default-src 'none'", policy)
        self.assertIn("script-src 'nonce-%s' 'self'" % nonce, policy)
        self.assertIn("style-src 'nonce-%s'" % nonce, policy)
        self.assertNotIn(nonce, base.answer(self.failed)[1]["Content-Security-Policy"])
        for tag, attributes in document.elements:
            self.assertFalse({"style", "onclick", "href"} & set(attributes), tag)
            self.assertIn(attributes.get("src", "/__gowsgi__/dev.js"), "/__gowsgi__/dev.js")

    def test_what_is_not_the_projects_is_folded_and_the_newest_call_is_first(self):
        module = self.module("views", "import json\n\ndef view():\n    inner()\n\ndef inner():\n    json.loads('{')\n")
        body = base.answer(self.report(base.caught(module.view)))[2]
        text = base.Document(body).text
        self.assertIn("frames in Python", text)
        self.assertLess(text.index("line 7 in inner\n"), text.index("line 4 in view\n"))
        fold = body[body.index('<details class="fold">') :]
        self.assertIn("json/decoder.py", fold[: fold.index("</details>\n<div")])

    def test_the_request_is_shown_without_its_secrets(self):
        text = base.Document(
            base.answer(
                self.failed,
                REQUEST_METHOD="POST",
                SCRIPT_NAME="/shop",
                PATH_INFO="/caf\xc3\xa9",
                QUERY_STRING="page=2&token=hush1",
                HTTP_HOST="localhost:8000",
                HTTP_COOKIE="sid=hush2",
                HTTP_AUTHORIZATION="Bearer hush3",
                HTTP_X_API_KEY="hush4",
                HTTP_REFERER="http://localhost/?access_token=hush5&x=1",
                HTTP_USER_AGENT="Firefox",
                CONTENT_TYPE="text/csv",
            )[2]
        ).text
        self.assertIn("POST /shop/café?page=2&token=(hidden)", text)
        self.assertIn("http://localhost:8000/shop/café?page=2&token=(hidden)", text)
        self.assertIn("X-Api-Key(hidden)", text)
        self.assertIn("User-AgentFirefox", text)
        self.assertIn("Content-Typetext/csv", text)
        self.assertIn(sys.executable, text)
        self.assertNotIn("hush", text)

    def test_hostile_text_stays_text(self):
        bad = "</pre></script><script>alert(1)</script><img src=x onerror=alert(1)>\"' \ud800\x00"
        source = "def view(%s):\n    '''%s'''\n    raise kind(message)\n" % ("v, kind, message", bad.replace("\ud800\x00", ""))
        space = {"__name__": "evil"}
        exec(compile(source, "<img src=y onerror=alert(2)>", "exec"), space)
        view = self.module("evil", source).view
        kind = type("Bad<b>", (Exception,), {"__module__": "<i>"})
        variables = {bad: bad}
        for call in (space["view"], view):
            report = self.report(base.caught(call, variables, kind, bad))
            report.raised[0].hints.append(bad)
            body = base.answer(report, PATH_INFO="/" + bad, QUERY_STRING=bad, HTTP_X="<u>", HTTP_HOST=bad)[2]
            document = base.Document(body)
            self.assertFalse({"img", "b", "u"} & {tag for tag, _ in document.elements if tag != "b"})
            self.assertEqual([tag for tag, _ in document.elements].count("script"), 1)
            self.assertNotIn("<b>alert", body)
            self.assertIn("<i>.Bad<b>", document.text)
            self.assertIn("<img src=x onerror=alert(1)>", document.text)


if __name__ == "__main__":
    unittest.main()
