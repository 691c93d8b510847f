"""The HTML of gowsgi dev's error page: one file, with its style and its script in it, readable without the script.

It runs as the module _gowsgi_dev_errors_page on CPython 3.9 and newer.
"""

import html as _html
import itertools
import sys

import _gowsgi_dev_errors_values as values

_STYLE = """
:root { color-scheme: light dark; --back: #f5f6f8; --card: #fff; --text: #1c2128; --soft: #667080; --line: #dfe3e8; --red: #c62f3b;
  --hot: #fdeceb; --mark: #f7c3bf; --code: #fafbfc; --note: #fff7e0; --note-line: #ead9a4; --blue: #2860b8;
  --mono: ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace }
@media (prefers-color-scheme: dark) { :root { --back: #14171c; --card: #1c2026; --text: #dde2e9; --soft: #929dac; --line: #30363f;
  --red: #ff7b80;  --hot: #40242a; --mark: #7c3138; --code: #171a20; --note: #2f2a1a; --note-line: #57491f; --blue: #82b1f8 } }
* { box-sizing: border-box }
body { margin: 0; background: var(--back); color: var(--text);
  font: 14px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif }
header { background: var(--card); border-bottom: 1px solid var(--line); border-top: 4px solid var(--red); padding: 22px 0 20px }
.in { max-width: 1080px; margin: 0 auto; padding: 0 24px }
.top { display: flex; gap: 16px; align-items: center; color: var(--soft); font-size: 13px }
.top span { flex: 1; overflow-wrap: anywhere }
button { font: inherit; color: var(--text); background: var(--back); border: 1px solid var(--line); border-radius: 6px; padding: 4px 12px;
  cursor: pointer; white-space: nowrap }
button:hover { border-color: var(--soft) }
h1 { margin: 10px 0 0; font-size: 15px; font-weight: 600; color: var(--red); font-family: var(--mono); overflow-wrap: anywhere }
h2 { margin: 34px 0 12px; font-size: 12px; font-weight: 600; letter-spacing: .06em; text-transform: uppercase; color: var(--soft) }
.message { margin: 4px 0 0; font-size: 21px; line-height: 1.35; font-weight: 600; white-space: pre-wrap; overflow-wrap: anywhere;
  max-height: 16em; overflow: auto }
.at { margin: 10px 0 0; color: var(--soft) }
.at b, .file { font-family: var(--mono); font-size: 13px; color: var(--text); font-weight: 600 }
.raised { border-left: 3px solid var(--red); padding-left: 14px; margin: 0 0 12px }
.raised .message { font-size: 17px }
.raised h1 { margin: 0 }
.note { background: var(--note); border: 1px solid var(--note-line); border-radius: 6px; padding: 8px 14px; margin: 12px 0 0;
  overflow-wrap: anywhere; white-space: pre-wrap }
.frame, .fold { background: var(--card); border: 1px solid var(--line); border-radius: 8px; margin: 0 0 10px; overflow: hidden }
.frame > p { margin: 0; padding: 9px 14px; overflow-wrap: anywhere }
.soft { color: var(--soft) }
.fn { font-family: var(--mono); font-size: 13px; color: var(--blue) }
pre { margin: 0; font: 13px/1.55 var(--mono); tab-size: 4; overflow-x: auto }
.code { background: var(--code); border-top: 1px solid var(--line); padding: 6px 0 }
.code > span { display: block; min-width: max-content; padding: 0 14px 0 0 }
.code i { display: inline-block; width: 56px; padding-right: 14px; text-align: right; font-style: normal; color: var(--soft);
  user-select: none }
.code .hot { background: var(--hot); font-weight: 600; box-shadow: inset 3px 0 var(--red) }
mark { background: var(--mark); color: inherit; border-radius: 2px; padding: 1px 0 }
summary { cursor: pointer; padding: 7px 14px; color: var(--soft); user-select: none }
summary:hover { color: var(--text) }
summary b { color: var(--text); font-weight: 600 }
.frame > details { border-top: 1px solid var(--line); font-size: 13px }
.fold { border-style: dashed; background: none }
.fold[open] { padding-bottom: 2px }
.fold > .frame { margin: 0 10px 10px }
table { border-collapse: collapse; width: 100%; font: 13px/1.5 var(--mono) }
td, th { padding: 3px 14px; vertical-align: top; text-align: left; border-top: 1px solid var(--line); overflow-wrap: anywhere;
  white-space: pre-wrap }
th { width: 200px; font-weight: 400; color: var(--soft) }
tr:first-child > * { border-top: 0 }
details > table { border-top: 1px solid var(--line) }
.group { border-left: 2px solid var(--line); padding-left: 16px; margin: 0 0 18px }
.plain { padding: 10px 14px; border-top: 1px solid var(--line); background: var(--code); max-height: 40em; overflow: auto }
footer { color: var(--soft); font-size: 12.5px; padding: 18px 0 40px }
"""

_SCRIPT = """
var copy = document.getElementById('copy'), plain = document.getElementById('plain');
copy.hidden = false;
copy.onclick = function () {
  function say(text) { copy.textContent = text; setTimeout(function () { copy.textContent = 'Copy as text' }, 1500) }
  function select() {
    plain.parentNode.open = true;
    getSelection().selectAllChildren(plain);
    say(document.execCommand('copy') ? 'Copied' : 'Press Ctrl+C');
  }
  if (!navigator.clipboard) return select();
  navigator.clipboard.writeText(plain.textContent).then(function () { say('Copied') }, select);
};
"""

_LINKS = {"cause": "Directly caused by", "context": "Raised while this was handled"}


def html(report, environ, nonce, extra_head):
    """The page, as a str. nonce: of the page's Content-Security-Policy. extra_head: HTML."""
    first = report.raised[0]
    where = _where(first)
    imported = report.kind == "import"
    request = "%s %s" % (environ.get("REQUEST_METHOD", "GET"), _target(environ))
    title = "%s: %s" % (first.type, first.message.partition("\n")[0][:200])
    out = [
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n',
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n',
        "<title>%s</title>\n" % _e(title),
        '<style nonce="%s">%s</style>\n%s</head>\n<body>\n<header><div class="in">\n' % (_e(nonce), _STYLE, extra_head),
        '<div class="top"><span>%s</span><button id="copy" type="button" hidden>Copy as text</button></div>\n'
        % _e("%s can't be loaded" % report.spec if imported else request),
        _heading(first),
    ]
    if where is not None:
        out.append('<p class="at">%s</p>\n' % _place(where))
    out.append(_notes(first))
    out.append('</div></header>\n<main class="in">\n')
    if first.frames:
        out.append("<h2>Traceback, the newest call first</h2>\n")
    out += _chain(report.raised)
    out.append("<h2>More</h2>\n")
    out.append(_fold("The request", _table(_request(environ))))
    out.append(_fold("Python", _table(_python(report))))
    out.append(_fold("The traceback as text", '<pre class="plain" id="plain">%s</pre>' % _e(report.text)))
    out.append('</main>\n<footer class="in">gowsgi dev shows this page to clients on this machine alone.</footer>\n')
    out.append('<script nonce="%s">%s</script>\n</body>\n</html>\n' % (_e(nonce), _SCRIPT))
    return "".join(out)


def _e(text):
    return _html.escape(str(text))


def _where(raised):
    """The project's newest frame, or the newest."""
    own = [frame for frame in raised.frames if frame.own]
    return (own or raised.frames or [None])[-1]


def _heading(raised):
    return '<h1>%s</h1>\n<p class="message">%s</p>\n' % (_e(raised.type), _e(raised.message))


def _notes(raised):
    return "".join('<div class="note">%s</div>\n' % _e(note) for note in ["\n".join(raised.hints), *raised.notes] if note)


def _place(frame):
    text = '<span class="file">%s</span> <span class="soft">line</span> %d' % (_e(frame.shown), frame.line)
    return text + (' <span class="soft">in</span> <span class="fn">%s</span>' % _e(frame.name) if frame.name else "")


# ---- the exceptions ---------------------------------------------------------------------------------------------------------------


def _chain(chain, inner=False):
    out = []
    for raised in chain:
        if raised.link:
            out.append("<h2>%s</h2>\n" % _LINKS[raised.link])
        if raised.link or inner:
            out.append('<div class="raised">%s%s</div>\n' % (_heading(raised), _notes(raised)))
        out += _frames(raised)
        for number, part in enumerate(raised.group, 1):
            out.append('<h2>Exception %d of the group</h2>\n<div class="group">\n' % number)
            out += _chain(part, inner=True)
            out.append("</div>\n")
    return out


def _frames(raised):
    """The frames from the newest to the oldest, those that are not the project's folded."""
    shown = _where(raised)
    out = []
    for key, run in itertools.groupby(reversed(raised.frames), lambda frame: frame.own or frame is shown):
        run = list(run)
        if key:
            out += map(_frame, run)
            continue
        count = sum(frame.skipped + frame.cycle * frame.times - frame.cycle + 1 for frame in run)
        packages = ", ".join(dict.fromkeys(frame.package for frame in run))
        out.append('<details class="fold"><summary><b>%d frame%s</b> in %s</summary>\n' % (count, "s" if count > 1 else "", _e(packages)))
        out += map(_frame, run)
        out.append("</details>\n")
    return out


def _frame(frame):
    out = ['<div class="frame"><p>%s' % _place(frame)]
    if frame.times > 1:
        what = "this call" if frame.cycle == 1 else "the last %d calls" % frame.cycle
        out.append(' <span class="soft">· %s repeated %d times</span>' % (what, frame.times))
    out.append("</p>\n")
    if frame.source:
        out.append('<pre class="code">%s</pre>\n' % "".join(_line(frame, number, text) for number, text in frame.source))
    if frame.values:
        out.append("<details><summary>Variables (%d)</summary>%s</details>\n" % (len(frame.values), _table(frame.values)))
    out.append("</div>\n")
    if frame.skipped:
        out.append('<p class="soft">%d frames are left out here.</p>\n' % frame.skipped)
    return "".join(out)


def _line(frame, number, text):
    if number != frame.line:
        return "<span><i>%d</i>%s\n</span>" % (number, _e(text))
    code = _e(text)
    if frame.mark is not None:
        begin, end = frame.mark
        code = "%s<mark>%s</mark>%s" % (_e(text[:begin]), _e(text[begin:end] or " "), _e(text[end:]))
    return '<span class="hot"><i>%d</i>%s\n</span>' % (number, code)


# ---- the request and the process --------------------------------------------------------------------------------------------------


def _fold(title, body):
    return '<details class="frame"><summary>%s</summary>%s</details>\n' % (title, body)


def _table(rows):
    return "<table>%s</table>" % "".join("<tr><th>%s</th><td>%s</td></tr>\n" % (_e(name), _e(value)) for name, value in rows)


def _readable(text):
    """A text of the environ, whose characters are bytes, as the UTF-8 that it mostly is."""
    return text.encode("latin-1", "replace").decode("utf-8", "replace")


def _target(environ):
    query = _query(environ)
    return _readable(environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")) + ("?" + query if query else "")


def _query(environ):
    return values.hide(_readable(environ.get("QUERY_STRING", "")))


def _request(environ):
    url = "%s://%s%s" % (environ.get("wsgi.url_scheme", "http"), _readable(environ.get("HTTP_HOST", "")), _target(environ))
    rows = [("Method", environ.get("REQUEST_METHOD", "")), ("URL", url), ("Query", _query(environ))]
    rows.append(("Client", environ.get("REMOTE_ADDR", "")))
    for name in sorted(environ):
        value = environ[name]
        if (name.startswith("HTTP_") or name in ("CONTENT_TYPE", "CONTENT_LENGTH")) and isinstance(value, str) and value:
            header = name[5:] if name.startswith("HTTP_") else name
            rows.append((header.replace("_", "-").title(), values.HIDDEN if values.is_secret(name) else values.hide(_readable(value))))
    return [(name, value) for name, value in rows if value]


def _python(report):
    return [
        ("Version", sys.version.partition(" ")[0]),
        ("Executable", sys.executable or ""),
        ("App", report.spec),
        ("Folder", report.project),
        ("sys.path", "\n".join(str(folder) for folder in sys.path)),
    ]
