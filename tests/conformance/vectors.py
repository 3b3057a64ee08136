"""Own vectors: every modifier and every form of detection and condition of Sigma 2.1, with events that a rule must match
and events that it must not. SigmaHQ's rules use neither exists, cased, lt/gt, neq nor time modifiers, so nobody else's
cases show them. A detection is written as a dict (JSON is YAML); `events` addresses raw names.

Each vector: (name, detection, matching events, other events).
"""


def item(key, value):
    return {"s": {key: value}, "condition": "s"}


def on(value, *others):
    """Events whose field `f` has these values."""
    return [{"f": one} for one in (value, *others)]


ABSENT = {"g": "x"}

VALUES = [
    ("plain text ignores case", item("f", "Evil.EXE"), on("evil.exe", "EVIL.EXE"), on("evil.exe2", " evil.exe") + [ABSENT]),
    ("number as text", item("f", 4688), on(4688, "4688"), on(46880, "04688")),
    ("boolean as text", item("f", True), on(True, "true", "TRUE"), on(False, "yes")),
    ("list is any of", item("f", ["a", "b"]), on("a", "B"), on("c", "ab")),
    ("value among several of the event", item("f", "b"), on(["a", "b"]), on(["a", "c"], [])),
    ("nested path", item("a.b", "x"), [{"a": {"b": "x"}}, {"a.b": "x"}, {"a": [{"b": "y"}, {"b": "x"}]}], [{"a": "x"}, {"b": "x"}]),
    ("star", item("f", "a*c"), on("ac", "abc", "a\nc", "AxxC"), on("abcd", "bac")),
    ("question mark is one character", item("f", "a?c"), on("abc", "aäc"), on("ac", "abbc")),
    ("star alone holds for any value", item("f", "*"), on("x", "", 0), [ABSENT, {"f": None}]),
    ("escaped star", item("f", r"a\*c"), on("a*c"), on("abc", r"a\*c")),
    ("escaped question mark", item("f", r"a\?c"), on("a?c"), on("abc")),
    ("backslash before a letter is plain", item("f", r"C:\Windows"), on(r"C:\Windows", r"c:\windows"), on("C:Windows", r"C:\\Windows")),
    ("two backslashes before a star are one, and the wildcard", item("f", r"C:\\*"), on("C:\\", r"C:\x"), on("C:*", r"D:\x")),
    ("backslash, then a plain star", item("f", r"a\\\*"), on(r"a\*"), on(r"a\b", "a*")),
    ("empty text", item("f", ""), on(""), on(" ", "x") + [ABSENT]),
    ("null is absent or null", item("f", None), [ABSENT, {"f": None}], on("", "null", 0)),
    ("null in a list", item("f", [None, "a"]), [ABSENT, {"f": "a"}], on("b")),
]

TEXT_MODIFIERS = [
    ("contains", item("f|contains", "vil"), on("EVIL", "a vilified one"), on("v-i-l", "") + [ABSENT]),
    ("startswith", item("f|startswith", "ev"), on("evil", "EV"), on("devil", "e")),
    ("endswith", item("f|endswith", "il"), on("evil", "IL"), on("evils", "i")),
    ("contains with a wildcard inside", item("f|contains", "a*c"), on("xxabbcxx", "ac"), on("cba")),
    ("contains an escaped star", item("f|contains", r"\*"), on("2*3"), on("23")),
    ("all", item("f|contains|all", ["a", "b"]), on("xaxbx", "BA"), on("a", "b", "c")),
    ("all over several values of the event", item("f|all", ["a", "b"]), on(["a", "b"], ["b", "c", "a"]), on("a", ["a", "c"])),
    ("cased", item("f|cased", "Evil"), on("Evil"), on("evil", "EVIL")),
    ("cased contains", item("f|contains|cased", "Ab"), on("xAbx"), on("xabx", "xABx")),
    ("cased startswith and endswith", {"s": {"f|startswith|cased": "A", "g|endswith|cased": "Z"}, "condition": "s"},
     [{"f": "Ab", "g": "yZ"}], [{"f": "ab", "g": "yZ"}, {"f": "Ab", "g": "yz"}]),
    ("windash", item("f|contains|windash", " -enc"), on("x -enc y", "x /enc", "x –enc", "x —enc", "x ―enc"), on("x enc", "x+enc")),
    ("wide", item("f|wide|base64offset|contains", "ab"), on("YQBiA"), on("YWI")),
    ("utf16le", item("f|utf16le|base64", "a"), on("YQA="), on("YQ==", "AGE=")),
    ("utf16be", item("f|utf16be|base64", "a"), on("AGE="), on("YQA=")),
    ("utf16 has a byte order mark", item("f|utf16|base64", "a"), on("//5hAA=="), on("YQA=")),
    ("base64", item("f|base64", "foobar"), on("Zm9vYmFy"), on("foobar", "zm9vymfy")),
    ("base64 contains", item("f|base64|contains", "foo"), on("xxZm9vxx"), on("foo")),
    ("base64offset finds every offset", item("f|base64offset|contains", "secret"),
     on("c2VjcmV0", "eHNlY3JldHg=", "eHhzZWNyZXR4"), on("c2VjcmU=", "secret")),
]

OTHER_MODIFIERS = [
    ("re is searched for, with case", item("f|re", "v[ij]l"), on("evil", "evjls"), on("EVIL", "evl")),
    ("re anchored", item("f|re", "^a.c$"), on("abc"), on("xabc", "a\nc", "ABC")),
    ("re i", item("f|re|i", "^EV"), on("evil", "EVIL"), on("devil")),
    ("re m", item("f|re|m", "^b$"), on("a\nb\nc"), on("ab", "a b")),
    ("re s", item("f|re|s", "^a.c$"), on("a\nc", "abc"), on("a\n\nc")),
    ("re, several", item("f|re", ["^a", "z$"]), on("ab", "yz"), on("by")),
    ("cidr v4", item("f|cidr", "10.1.0.0/16"), on("10.1.255.3", "::ffff:10.1.0.1"), on("10.2.0.1", "10.1", "x")),
    ("cidr v6", item("f|cidr", "2001:db8::/32"), on("2001:db8::1", "2001:DB8:1::"), on("2001:db9::1", "10.0.0.1")),
    ("cidr, several", item("f|cidr", ["10.8.0.0/13", "192.168.0.0/16"]), on("10.9.9.9", "192.168.0.1"), on("172.16.0.1")),
    ("lt", item("f|lt", 10), on(9, "9", 9.99, -1), on(10, 11, "x", "") + [ABSENT]),
    ("lte", item("f|lte", 10), on(10, "10.0", 9), on(10.01, 11)),
    ("gt", item("f|gt", 10), on(11, "11", 10.5), on(10, 9, "x")),
    ("gte", item("f|gte", 10), on(10, "10", 99), on(9.99, 9)),
    ("gt beyond 53 bits is exact", item("f|gt", 9007199254740992), on(9007199254740993), on(9007199254740992)),
    ("lt with a decimal", item("f|lt", 0.5), on(0.25, "0.49"), on(0.5, 1)),
    ("exists true", item("f|exists", True), on("x", "", None), [ABSENT]),
    ("exists false", item("f|exists", False), [ABSENT], on("x", "", None)),
    ("neq", item("f|neq", "a"), on("b", "") + [ABSENT], on("a", "A")),
    ("neq of a list is none of them", item("f|neq", ["a", "b"]), on("c"), on("a", "b")),
    ("fieldref", item("f|fieldref", "g"), [{"f": "x", "g": "X"}], [{"f": "x", "g": "y"}, {"f": "x"}, {"g": "x"}]),
    ("fieldref startswith", item("f|fieldref|startswith", "g"), [{"f": "abc", "g": "ab"}], [{"f": "abc", "g": "bc"}]),
    ("fieldref endswith", item("f|fieldref|endswith", "g"), [{"f": "abc", "g": "bc"}], [{"f": "abc", "g": "ab"}]),
    ("fieldref contains", item("f|fieldref|contains", "g"), [{"f": "abc", "g": "b"}], [{"f": "abc", "g": "d"}]),
    ("expand, from the mapping's list", item("f|expand", "%admins%"), on("root", "Administrator"), on("%admins%", "ann")),
    ("expand inside a text", item("f|contains|expand", "by %admins%!"), on("done by root!"), on("done by ann!")),
    ("minute", item("f|minute", 30), on("2026-03-02T08:30:59Z"), on("2026-03-02T08:31:00Z", "30")),
    ("hour", item("f|hour", [8, 9]), on("2026-03-02T08:30:00Z", "2026-03-02T10:30:00+01:00"), on("2026-03-02T10:30:00Z")),
    ("day", item("f|day", 2), on("2026-03-02T23:59:59Z"), on("2026-03-03T00:00:00Z")),
    ("week", item("f|week", 10), on("2026-03-02T00:00:00Z", "2026-03-08T23:59:59Z"), on("2026-03-01T23:59:59Z", "2026-03-09T00:00:00Z")),
    ("month", item("f|month", 3), on("2026-03-31T00:00:00Z"), on("2026-04-01T00:00:00Z")),
    ("year", item("f|year", 2026), on("2026-12-31T23:59:59Z"), on("2027-01-01T00:00:00Z")),
]

A, B, C = {"a": "1"}, {"b": "1"}, {"c": "1"}


def parts(condition, **more):
    return {"sel_a": {"a": "1"}, "sel_b": {"b": "1"}, "other": {"c": "1"}, **more, "condition": condition}


CONDITIONS = [
    ("a map is and", {"s": {"a": "1", "b": "1"}, "condition": "s"}, [{**A, **B}], [A, B]),
    ("a list of maps is or", {"s": [{"a": "1"}, {"b": "1", "c": "1"}], "condition": "s"}, [A, {**B, **C}], [B, C]),
    ("keywords look at every value", {"k": ["needle", "pin"], "condition": "k"}, [{"x": "a NEEDLE b"}, {"y": {"z": "pin"}}],
     [{"needle": "x"}, {"x": "nee dle"}]),
    ("keywords, all of them", {"k": {"|all": ["needle", "pin"]}, "condition": "k"}, [{"x": "needle", "y": "pin"}], [{"x": "needle"}]),
    ("keywords and maps in one list", {"s": ["needle", {"a": "1"}], "condition": "s"}, [A, {"x": "a needle"}], [B]),
    ("and", parts("sel_a and sel_b"), [{**A, **B}], [A, B]),
    ("or", parts("sel_a or sel_b"), [A, B], [C]),
    ("not", parts("not sel_a"), [B, {}], [A, {**A, **B}]),
    ("and binds closer than or", parts("sel_a or sel_b and other"), [A, {**B, **C}], [B, C]),
    ("not binds closest", parts("not sel_a and sel_b"), [B], [{**A, **B}, C]),
    ("parentheses", parts("(sel_a or sel_b) and other"), [{**A, **C}, {**B, **C}], [A, C, {**A, **B}]),
    ("not of parentheses", parts("not (sel_a or sel_b)"), [C], [A, B]),
    ("1 of a glob", parts("1 of sel_*"), [A, B], [C]),
    ("all of a glob", parts("all of sel_*"), [{**A, **B}], [A, {**B, **C}]),
    ("2 of them", parts("2 of them"), [{**A, **B}, {**A, **C}, {**A, **B, **C}], [A, C]),
    ("1 of them", parts("1 of them"), [A, C], [{"d": "1"}]),
    ("all of them", parts("all of them"), [{**A, **B, **C}], [{**A, **B}]),
    ("any of them", parts("any of them"), [B], [{"d": "1"}]),
    ("them leaves out what begins with an underscore", parts("all of them", _hidden={"d": "1"}), [{**A, **B, **C}], [{**A, **B, "d": "1"}]),
    ("not 1 of a glob", parts("not 1 of sel_*"), [C], [A, B]),
    ("words ignore case", parts("sel_a AND NOT sel_b"), [A], [{**A, **B}]),
    ("a list of conditions is or", parts(["sel_a and sel_b", "other"]), [{**A, **B}, C], [A, B]),
]

VECTORS = VALUES + TEXT_MODIFIERS + OTHER_MODIFIERS + CONDITIONS

MAPPING = "mapping: vectors\nplaceholders:\n  admins: [root, administrator]\n"
