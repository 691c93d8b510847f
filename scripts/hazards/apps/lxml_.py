"""lxml with XPath and XSLT"""
from _app import text
from lxml import etree

SHEET = etree.XSLT(etree.XML(
    '<x:stylesheet version="1.0" xmlns:x="http://www.w3.org/1999/XSL/Transform"><x:template match="/"><r><x:value-of select="count(//a)"/></r>'
    "</x:template></x:stylesheet>"))


@text
def app(environ):
    tree = etree.XML("<b>" + "<a/>" * 1000 + "</b>")
    assert len(tree.xpath("//a")) == 1000
    assert SHEET(tree).getroot().text == "1000"
    return "ok"
