"""Reads a gunicorn.conf.py from standard input without executing it, and writes what it sets as JSON.

Arguments: the file's path and the number of processors.
"""

import ast
import json
import operator
import os
import sys

PATH, CPUS = sys.argv[1], int(sys.argv[2])
LONGEST = 1 << 16  # of a text or list that is computed


def absolute(path):
    return os.path.normpath(os.path.join(os.path.dirname(PATH), path))


class Unknown(Exception):
    """Something that only executing the file would tell."""


class Value:
    """A value, the variables of the environment that it came from, and whether it counts processors: "all" for their very number."""

    def __init__(self, value, env=(), cpus=""):
        self.value, self.env, self.cpus = value, tuple(env), cpus


BINARY = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv, ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod, ast.BitOr: operator.or_, ast.BitAnd: operator.and_,
}
UNARY = {ast.Not: operator.not_, ast.USub: operator.neg, ast.UAdd: operator.pos}
COMPARE = {
    ast.Eq: operator.eq, ast.NotEq: operator.ne, ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge,
    ast.In: lambda a, b: a in b, ast.NotIn: lambda a, b: a not in b, ast.Is: operator.is_, ast.IsNot: operator.is_not,
}
BUILTINS = {"int": int, "float": float, "str": str, "bool": bool, "max": max, "min": min, "len": len, "abs": abs, "round": round}
METHODS = ("lower", "upper", "strip", "lstrip", "rstrip", "split", "replace", "join", "startswith", "endswith", "title")
FUNCTIONS = {
    "os.path.join": os.path.join, "os.path.dirname": os.path.dirname, "os.path.basename": os.path.basename,
    "os.path.abspath": absolute, "os.path.realpath": absolute,
    "os.path.normpath": os.path.normpath,
}
PROCESSORS = ("multiprocessing.cpu_count", "os.cpu_count", "os.process_cpu_count", "psutil.cpu_count")


class Reader:
    def __init__(self, source):
        self.source = source
        self.names = {"__file__": Value(PATH)}  # or why the value is not known
        self.imported = {}  # names to what they stand for: environ is os.environ
        self.found = []

    # Expressions

    def text(self, node):
        text = " ".join((ast.get_source_segment(self.source, node) or "").split())
        return text if len(text) <= 60 else text[:57] + "..."

    def dotted(self, node):
        """The full name of what a node refers to, as far as that is something imported."""
        if isinstance(node, ast.Name):
            return self.imported.get(node.id, "")
        if isinstance(node, ast.Attribute):
            base = self.dotted(node.value)
            return base and base + "." + node.attr
        return ""

    def evaluate(self, node):
        method = getattr(self, "eval_" + type(node).__name__, None)
        if method is None:
            raise Unknown(self.text(node))
        try:
            value = method(node)
        except Unknown:
            raise
        except Exception as e:  # what Python itself would say of it
            raise Unknown("%s (%s: %s)" % (self.text(node), type(e).__name__, e))
        if isinstance(value.value, int) and abs(value.value) > 1 << 63 or isinstance(value.value, (str, list, dict)) and len(value.value) > LONGEST:
            raise Unknown(self.text(node))
        return value

    def combine(self, function, *values):
        env, cpus = [], ""
        for v in values:
            env += v.env
            cpus = v.cpus and "some" or cpus
        result = function(*[v.value for v in values])
        if len(values) == 1 and result == values[0].value:
            cpus = values[0].cpus
        return Value(result, env, cpus)

    def eval_Constant(self, node):
        if isinstance(node.value, (bytes, complex)) or node.value is ...:
            raise Unknown(self.text(node))
        return Value(node.value)

    def eval_Name(self, node):
        value = self.names.get(node.id, "")
        if isinstance(value, Value):
            return value
        raise Unknown("%s: %s" % (node.id, value) if value else node.id)

    def sequence(self, node):
        return self.combine(lambda *v: list(v), *[self.evaluate(e) for e in node.elts])

    eval_List = eval_Tuple = eval_Set = sequence

    def eval_Dict(self, node):
        keys = [self.evaluate(k) for k in node.keys]
        values = [self.evaluate(v) for v in node.values]
        return self.combine(lambda *all: dict(zip(all[: len(keys)], all[len(keys):])), *(keys + values))

    def eval_JoinedStr(self, node):
        return self.combine(lambda *v: "".join(v), *[self.evaluate(v) for v in node.values])

    def eval_FormattedValue(self, node):
        if node.format_spec is not None or node.conversion != -1:
            raise Unknown(self.text(node))
        return self.combine(str, self.evaluate(node.value))

    def eval_BinOp(self, node):
        if type(node.op) not in BINARY:
            raise Unknown(self.text(node))
        left, right = self.evaluate(node.left), self.evaluate(node.right)
        if isinstance(node.op, ast.Mult) and not all(isinstance(v.value, (int, float)) for v in (left, right)):
            raise Unknown(self.text(node))
        if isinstance(node.op, ast.Mod) and isinstance(left.value, str) and isinstance(right.value, list):
            right = Value(tuple(right.value), right.env, right.cpus)
        if isinstance(node.op, ast.Mod) and isinstance(left.value, str) and "*" in left.value:
            raise Unknown(self.text(node))  # a width of any length
        return self.combine(BINARY[type(node.op)], left, right)

    def eval_UnaryOp(self, node):
        if type(node.op) not in UNARY:
            raise Unknown(self.text(node))
        return self.combine(UNARY[type(node.op)], self.evaluate(node.operand))

    def eval_BoolOp(self, node):
        env, cpus = [], ""
        for v in node.values:
            value = self.evaluate(v)
            env += value.env
            cpus = value.cpus or cpus
            if bool(value.value) != isinstance(node.op, ast.And):
                break
        return Value(value.value, env, cpus)

    def eval_Compare(self, node):
        if len(node.ops) != 1 or type(node.ops[0]) not in COMPARE:
            raise Unknown(self.text(node))
        return self.combine(COMPARE[type(node.ops[0])], self.evaluate(node.left), self.evaluate(node.comparators[0]))

    def eval_IfExp(self, node):
        test = self.evaluate(node.test)
        value = self.evaluate(node.body if test.value else node.orelse)
        return Value(value.value, test.env + value.env, test.cpus or value.cpus)

    def eval_Subscript(self, node):
        index = node.slice
        if self.dotted(node.value) == "os.environ":
            name = self.evaluate(index).value
            if name not in os.environ:
                raise Unknown("$%s, which is not set here" % name)
            return Value(os.environ[name], (name,))
        return self.combine(operator.getitem, self.evaluate(node.value), self.evaluate(index))

    def eval_Call(self, node):
        name = self.dotted(node.func)
        if name in PROCESSORS:
            return Value(CPUS, cpus="all")
        if isinstance(node.func, ast.Name) and node.func.id == "len" and node.args and isinstance(node.args[0], ast.Call):
            if self.dotted(node.args[0].func) == "os.sched_getaffinity":
                return Value(CPUS, cpus="all")
        if name in ("os.environ.get", "os.getenv"):
            return self.variable(node)
        if node.keywords:
            raise Unknown(self.text(node))
        if name in FUNCTIONS:
            return self.combine(FUNCTIONS[name], *[self.evaluate(a) for a in node.args])
        if isinstance(node.func, ast.Name) and node.func.id in BUILTINS and node.func.id not in self.names:
            return self.combine(BUILTINS[node.func.id], *[self.evaluate(a) for a in node.args])
        if isinstance(node.func, ast.Attribute) and node.func.attr in METHODS:
            target = self.evaluate(node.func.value)
            if isinstance(target.value, str):
                arguments = [self.evaluate(a) for a in node.args]
                return self.combine(lambda text, *a: getattr(text, node.func.attr)(*a), target, *arguments)
        raise Unknown(self.text(node))

    def variable(self, node):
        arguments = list(node.args) + [k.value for k in node.keywords if k.arg == "default"]
        name = self.evaluate(arguments[0]).value
        if name in os.environ:
            return Value(os.environ[name], (name,))
        if len(arguments) < 2:
            return Value(None, (name,))
        default = self.evaluate(arguments[1])
        return Value(default.value, (name,) + default.env, default.cpus)

    # Statements

    def tell(self, name, line, value=None, unknown=None, kind="set"):
        found = {"name": name, "line": line, "kind": kind}
        if unknown is not None:
            found["unknown"] = unknown
        else:
            found.update(value=value.value, env=list(value.env), cpus=value.cpus)
        self.found.append(found)

    def assign(self, target, node, line):
        if isinstance(target, ast.Name):
            try:
                value = self.evaluate(node)
                json.dumps(value.value)
                self.names[target.id] = value
                self.tell(target.id, line, value)
            except Unknown as e:
                self.names[target.id] = str(e)
                self.tell(target.id, line, unknown=str(e))
        elif isinstance(target, (ast.Tuple, ast.List)) and isinstance(node, (ast.Tuple, ast.List)) and len(target.elts) == len(node.elts):
            for t, n in zip(target.elts, node.elts):
                self.assign(t, n, line)
        else:
            self.give_up([ast.Expr(target)], "it is set in a way that only executing the file would tell")

    def give_up(self, statements, why):
        """What statements set that may be executed or not is not known."""
        for statement in statements:
            for node in ast.walk(statement):
                if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) or isinstance(node, ast.FunctionDef):
                    name = node.id if isinstance(node, ast.Name) else node.name
                    self.names[name] = why
                    self.tell(name, node.lineno, unknown=why)
                elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("locals", "globals", "vars", "exec", "setattr"):
                    self.tell("", node.lineno, unknown="settings are made here by names that only executing the file would tell")

    def run(self, statements):
        for s in statements:
            line = getattr(s, "lineno", 0)
            if isinstance(s, ast.Import):
                for a in s.names:
                    self.imported[a.asname or a.name.split(".")[0]] = a.name if a.asname else a.name.split(".")[0]
            elif isinstance(s, ast.ImportFrom):
                for a in s.names:
                    if a.name == "*":
                        self.tell("", line, unknown="what from %s import * brings is not known" % ("." * s.level + (s.module or "")))
                    self.imported[a.asname or a.name] = "%s.%s" % (s.module, a.name)
            elif isinstance(s, ast.Assign):
                for target in s.targets:
                    self.assign(target, s.value, line)
            elif isinstance(s, ast.AnnAssign):
                if s.value is not None:
                    self.assign(s.target, s.value, line)
            elif isinstance(s, ast.AugAssign) and isinstance(s.target, ast.Name):
                self.assign(s.target, ast.copy_location(ast.BinOp(ast.copy_location(ast.Name(s.target.id, ast.Load()), s), s.op, s.value), s), line)
            elif isinstance(s, ast.If):
                self.branch(s)
            elif isinstance(s, ast.Try):
                self.run(s.body)
                for handler in s.handlers:
                    self.imports(handler.body)
                self.run(s.orelse + s.finalbody)
            elif isinstance(s, (ast.FunctionDef, ast.AsyncFunctionDef)):
                self.names[s.name] = ""
                self.tell(s.name, line, unknown="", kind="function")
            elif isinstance(s, (ast.Expr, ast.Pass, ast.Assert)):
                self.give_up([s], "")
            else:
                self.give_up([s], "only executing the file would tell")

    def imports(self, statements):
        self.run([s for s in statements if isinstance(s, (ast.Import, ast.ImportFrom))])

    def branch(self, s):
        try:
            test = self.evaluate(s.test)
        except Unknown as e:
            self.imports(s.body + s.orelse)
            self.give_up(s.body + s.orelse, "it depends on %s" % e)
            return
        if test.env:
            self.tell("", s.lineno, unknown="what follows depends on %s: read as it is here" % ", ".join("$" + name for name in test.env))
        self.run(s.body if test.value else s.orelse)


def main():
    source = sys.stdin.buffer.read()
    try:
        tree = ast.parse(source, PATH)
        reader = Reader(source.decode("utf-8", "replace"))
        reader.run(tree.body)
        print(json.dumps({"found": reader.found}))
    except (SyntaxError, ValueError, RecursionError, MemoryError) as e:
        print(json.dumps({"error": str(getattr(e, "msg", "") or e) or type(e).__name__, "line": getattr(e, "lineno", 0) or 0}))


main()
