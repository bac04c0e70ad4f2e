"""What Jinja2 gives as transformers sets it up for chat templates: expressions, the products of values with filters and tests, and templates.
Run: python make_jinja.py"""

import copy
import json
import re
from pathlib import Path

from jinja2.filters import FILTERS
from jinja2.tests import TESTS
from transformers.utils.chat_template_utils import _compile_jinja_template

HERE = Path(__file__).parent
CONTEXT = {
    "s": "Hello, World", "w": "  a  b\tc \n", "u": "straße ﬁne İ é 日本 🙂", "m": "one two\nthree\r\nfour\n\nfive", "q": "it's \"so\" \\ \x07\u200b", "empty": "",
    "i": 7, "big": 18446744073709551615, "neg": -3, "f": 2.5, "small": 1e-07, "large": 1e22, "yes": True, "no": False, "nothing": None,
    "xs": [3, 1, 2], "ws": ["b", "A", "c", "a"], "mixed": [1, "a", None, 2.0, True], "nested": [[1, 2], [3, [4]]], "none_list": [],
    "d": {"b": 1, "a": [1, {"x": None}], "items": "own"}, "users": [{"name": "Zoe", "age": 30, "tags": ["x"]}, {"name": "adam", "age": 25, "tags": []},
    {"name": "Bob", "age": 30}], "html": "<b>Bo & 'co'</b> <!-- c --> \"q\"", "messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": None}],
}
VALUES = ["s", "w", "u", "m", "empty", "i", "big", "neg", "f", "small", "large", "yes", "no", "nothing", "xs", "ws", "mixed", "nested", "none_list", "d", "users", "html",
          "missing", "(1, 2)", "range(3)", "d.items()", "d.keys()", "xs|map('string')", "namespace(a=1)", "dict", "s.upper", "'12'", "' -3.7e2 '", "'0x1F'", "q"]
EXPRESSIONS = r"""
1 + 2 * 3 - 4 / 2
2 ** 3 ** 2
-2 ** 2
7 // 2 ~ -7 // 2 ~ 7 % -3 ~ -7 % 3
7.5 // 2 ~ ' ' ~ -7.5 % 2 ~ ' ' ~ 7.5 % -2
1 / 0
1 % 0
1.0 // 0
0 ** -1
2 ** -1
2.0 ** 1000 ** 10
(-8) ** 0.5
10 ** 20
1e3
1_000
0x1f + 0b11 + 0o17
1.5e-3
01
1.
.5
1 ~ 2 + 3
1 + 2 ~ 3
not 1 == 2
not none is none
1 < 2 < 3
1 < 3 < 2
1 == 1.0
true == 1
'a' < 'b'
[1, 2] < [1, 3]
[1, 'a'] < [2, 1]
1 < 'a'
none < 1
missing < 1
missing == missing2
missing == none
missing != 1
missing + 1
missing.x
missing['x']
missing()
missing|length
missing|list
missing ~ 'x'
-missing
-'a'
+true
-true
'a' in s
'Hello' in s
1 in s
1 in xs
1 not in xs
'a' in d
['a'] in d
1 in missing
1 in none
1 in 5
2 in range(3)
2.0 in range(3)
('a', 1) in d.items()
('b', 1) in d.items()
'b' in d.values()
a if true
(a if false) is defined
1 if yes else 2
1 if no
1 if no else 2 if no else 3
1 if yes if no else 5
[1, 2, 3,]
(1,)
()
(1, 2, 3)
{'a': 1, 'b': {'c': 2}, 3: none, none: true, 1.5: 2}
{'a': 1, 'a': 2}
{[1]: 2}
{1: 'a', 1.0: 'b', true: 'c'}
[1, [2, (3,), {}], none, true, 1.0, 'x', missing]
'a' 'b' "c"
'\n\t\\\'\"\x41\u00e9\101\q\
x'
'é\é'
'\U0001F642'
'\xZZ'
s[0] ~ s[-1] ~ s[100]
s[1:4]
s[::-1]
s[-5:]
s[:5:2]
s[10:2:-3]
s[::0]
s['a':]
u[1:-1]
xs[0]
xs[-1]
xs[5]
xs[1:]
xs[::-1]
xs['0']
xs[true]
xs[1.0]
(1, 2, 3)[::2]
range(10)[2:8:3]
range(10)[-1]
d.a
d['a'][1].x
d.items
d['items']
d.items()
d.keys()|list
d.values()|list
d.missing
d['missing'].x
d.get('a')
d.get('zz')
d.get('zz', 4)
d.get([1])
d.copy()
d.update({'z': 1})
d.pop('a')
d.__class__
s.__class__.__mro__
s.__class__
s._x
xs.append(4)
xs.append
xs.index(2)
xs.index(9)
xs.count(1)
xs.copy()
xs.0
xs.sort()
(1, 2, 1).count(1)
i.real
i.bit_length()
f.is_integer()
s()
none()
i()
s.upper() ~ s.lower() ~ s.title() ~ s.swapcase() ~ 'a b'.capitalize()
u.upper()
u.title()
u.casefold()
'they\'re bill\'s'.title()
w.strip() ~ '|' ~ w.lstrip() ~ '|' ~ w.rstrip()
'xxaxx'.strip('x') ~ 'abc'.lstrip('ba') ~ 'abc'.rstrip('cb')
s.strip(none)
w.split()
w.split(none, 1)
w.rsplit(none, 1)
'a,b,,c'.split(',')
'a,b,,c'.split(',', 1)
'a,b,,c'.split(',', maxsplit=2)
'a,b,,c'.rsplit(',', 1)
'a'.split('')
''.split()
''.split(',')
m.splitlines()
m.splitlines(true)
m.splitlines(keepends=true)
'a=b=c'.partition('=')
'a=b=c'.rpartition('=')
'abc'.partition('x')
'abc'.rpartition('x')
'abcabc'.find('c') ~ 'abcabc'.rfind('c') ~ 'abc'.find('x') ~ 'abc'.find('c', 1, 2)
'日本語'.find('語')
'abc'.index('x')
'abc'.rindex('c')
'aaaa'.count('aa') ~ 'abc'.count('') ~ 'abab'.count('a', 1)
'abc'.startswith('a') ~ 'abc'.startswith(('x', 'a')) ~ 'abc'.startswith('b', 1) ~ 'abc'.endswith('c', 0, 2)
'abc'.startswith(['a'])
'abc'.startswith(1)
'abc'.replace('b', 'x') ~ 'aaa'.replace('a', 'b', 2) ~ 'abc'.replace('', '-')
'abc'.replace('b')
'abc'.replace(old='b', new='c')
'-'.join(['a', 'b'])
'-'.join([1, 2])
'-'.join('abc')
'-'.join(missing)
''.join(d)
'abc'.center(10) ~ '|' ~ 'abcd'.center(9, '*') ~ '|' ~ 'abc'.center(2)
'a'.ljust(3, '.') ~ 'a'.rjust(3) ~ '-5'.zfill(4) ~ '+5'.zfill(2)
'a'.center(5, 'ab')
'a\tb\n\tc'.expandtabs() ~ 'a\tb'.expandtabs(4)
'prefix_x'.removeprefix('prefix_') ~ 'x_suffix'.removesuffix('_suffix') ~ 'x'.removeprefix('y')
'abc'.isalpha() ~ 'ab1'.isalnum() ~ '12'.isdigit() ~ '²'.isdigit() ~ '²'.isdecimal() ~ '½'.isnumeric() ~ ''.isalpha()
'٣'.isdecimal() ~ 'a b'.isidentifier() ~ 'a_1'.isidentifier() ~ ' \t'.isspace() ~ 'aB'.islower() ~ 'AB1'.isupper() ~ 'Ab Cd'.istitle()
'a\n'.isprintable() ~ 'é'.isascii()
'abc'.nomethod()
'{} and {}'.format(1, 'x')
'{0} {1} {0}'.format('a', 'b')
'{a.b} {a[b]} {l[0]}'.format(a={'b': 3}, l=[5])
'{:>8}|{:<8}|{:^8}|{:*^9}'.format('ab', 'cd', 'ef', 'gh')
'{:05d} {:+d} {: d} {:x} {:#x} {:b} {:o} {:,} {:_}'.format(42, 42, 42, 255, 255, 5, 8, 1234567, 1234567)
'{:.2f} {:8.3f} {:e} {:g} {:%} {:.1%} {:010.2f} {:+.1f}'.format(3.14159, 2.5, 12345.678, 0.0001, 0.25, 0.123, -3.5, 2.25)
'{:.3} {:10} {:<5}|'.format(3.14159, 2.5, 1)
'{:,.2f} {:012,.1f}'.format(1234567.891, 1234.5)
'{!r} {!s} {!a}'.format('é', 'é', 'é')
'{{}} {}'.format(1)
'{} {0}'.format(1)
'{0} {}'.format(1)
'{'.format(1)
'}'.format(1)
'{}'.format()
'{x}'.format()
'{:d}'.format('a')
'{:s}'.format(1)
'{:5}'.format(none)
'{:{w}.{p}f}'.format(3.14159, w=10, p=2)
'{} {} {}'.format(none, true, [1, 'a'])
'{:5}|{:>5}'.format(true, false)
'{}'.format(missing)
'{.__class__}'.format(s)
'{a}'.format_map({'a': 1})
'%s %r %d %5d|%-5d|%05d %+d' % ('a', 'b', 3, 4, 5, 6, 7)
'%x %X %o %e %E %f %.2f %g %G %c %%' % (255, 255, 8, 12345.678, 0.5, 1.5, 2.675, 1e10, 1e-10, 'z')
'%s' % 'x'
'%s' % [1, 2]
'%s' % none
'%s' % missing
'%s %s' % 'x'
'%s' % (1, 2)
'abc' % (1,)
'abc' % []
'%(a)s-%(b)05.1f' % {'a': 1, 'b': 2}
'%(c)s' % {'a': 1}
'%(a)s' % 1
'%d' % '1'
'%d' % 3.99
'%i %u' % (1, 2)
'%x' % 1.5
'%5s|%-5s|%.2s' % ('ab', 'cd', 'efgh')
'%*d' % (5, 42)
'%#x %#o' % (255, 8)
'%.3d' % 7
'% d' % 5
'%q' % 1
'%' % 1
'%5.1f|%-8.2e|' % (3.14159, 31415.9)
'a' + 'b'
'a' + 1
'a' * 3
3 * 'a'
'a' * -1
'a' * 2.0
'a' * true
[1] * 3
[1] + [2]
[1] + (2,)
(1,) + (2,)
[1] - [1]
d + d
xs|sort
xs|sort(reverse=true)
ws|sort
ws|sort(case_sensitive=true)
mixed|sort
users|sort(attribute='name')|map(attribute='name')|list
users|sort(attribute='age,name')|map(attribute='name')|list
users|map(attribute='tags.0')|list
users|map(attribute='tags', default='none')|list
users|map(attribute='nope', default='x')|join(',')
users|selectattr('tags')|map(attribute='name')|list
users|selectattr('age', 'equalto', 30)|list|length
users|selectattr('age', '>', 26)|map(attribute='name')|join(', ')
users|rejectattr('age', 'eq', 30)|first
users|selectattr('tags', 'defined')|list|length
users|rejectattr('tags', 'undefined')|list|length
users|groupby('age')
users|groupby('age')|map(attribute='grouper')|list
(users|groupby('age'))[0].list|length
users|groupby('name')|map('first')|list
users|groupby('nope', default='z')|length
users|sum(attribute='age')
users|map(attribute='age')|max
users|max(attribute='age')
users|min(attribute='name')
users|join('|', attribute='name')
users|unique(attribute='age')|map(attribute='name')|list
users|map('length')|list
users|map('nofilter')|list
users|map()|list
[]|map('nofilter')|list
users|map('attr', 'name')|list
xs|map('multiply', 2)|list
['1', '2']|map('int')|sum
['a', 'b']|map('upper')|join
['a', 'b']|map('replace', 'a', 'c')|list
xs|map('string')
xs|select('odd')|list
xs|select('greaterthan', 1)|list
xs|reject('odd')|list
mixed|select|list
mixed|reject|list
mixed|select('string')|list
xs|select('nope')|list
(xs|map('string')|list)[0]
(xs|map('string'))[0]
xs|map('string')|length
xs|batch(2)|list
xs|batch(2, 'x')|list
xs|slice(2)|list
xs|slice(2, 'x')|list
xs|batch(0)|list
xs|first
none_list|first
none_list|last
s|last
xs|map('string')|last
d|last
range(5)|last
xs|reverse|list
xs|reverse
s|reverse
d|reverse|list
xs|map('string')|reverse
xs|join(',')
mixed|join('-')
d|join(',')
xs|join(1)
d|dictsort
d|dictsort(reverse=true)
{'b': 1, 'A': 2}|dictsort
{'b': 1, 'A': 2}|dictsort(true)
{'b': 1, 'A': 2}|dictsort(by='value')
{'b': 1, 'A': 2}|dictsort(by='x')
d|items|list
missing|items|list
xs|items
d|list
s|list
i|list
d|length
i|length
nothing|length
nothing|default('x')
missing|default('x')
missing|default
nothing|default('x', true)
''|d('y', boolean=true)
0|default(1)
missing.x|default('no')
d.zz|default('no')
d.zz.y|default('no')
nothing.y|default('no')
s|replace('l', 'L')
s|replace('l', 'L', 1)
i|replace('7', '8')
s|replace('l')
none|replace('None', 'x')
s|truncate(8)
s|truncate(5, true, '')
s|truncate(9, leeway=0)
'foo bar baz qux'|truncate(9)
'foo bar baz qux'|truncate(9, true)
'foo bar baz qux'|truncate(11, false, '...', 0)
s|truncate(2)
m|indent
m|indent(2, true)
m|indent(2, first=true, blank=true)
m|indent('>> ')
''|indent
none|indent
'foo bar'|center(11)
'foo bar baz'|wordwrap(5)
'foobarbaz'|wordwrap(4)
'foobarbaz'|wordwrap(4, false)
'a well-known word'|wordwrap(7)
'a well-known word'|wordwrap(7, break_on_hyphens=false, wrapstring='|')
m|wordwrap(4)
'the quick brown   fox jumps'|wordwrap(10)
m|wordcount
'  x'|trim
'xxaxx'|trim('x')
i|trim
'hello-world foo(bar) [x {y <z'|title
'heLLo wORLD'|capitalize
html|e
html|escape ~ '<'
html|striptags
[html]|string
d|xmlattr
{'a': none, 'b': 'x"y', 'c': missing}|xmlattr
{'a b': 1}|xmlattr
{'a': 1}|xmlattr(false)
'a b/c?d=é'|urlencode
{'a b': 1, 'c': 'd/e'}|urlencode
[('x', 'y z')]|urlencode
5|urlencode
1|filesizeformat ~ ' ' ~ 999|filesizeformat ~ ' ' ~ 1000|filesizeformat ~ ' ' ~ 1234567|filesizeformat ~ ' ' ~ 1024|filesizeformat(true)
'1.5e10'|filesizeformat
'a'|filesizeformat
2.5|round ~ ' ' ~ 3.5|round ~ ' ' ~ 2.675|round(2) ~ ' ' ~ 1234.567|round(-2)
42|round ~ ' ' ~ 42|round(1) ~ ' ' ~ 45|round(-1) ~ ' ' ~ 55|round(-1)
2.1|round(method='ceil') ~ ' ' ~ 2.9|round(0, 'floor') ~ ' ' ~ 2.123|round(2, 'ceil') ~ ' ' ~ 7|round(0, 'ceil')
2.5|round(method='x')
'a'|round
'42'|int + 1
'4.9'|int
'x'|int
'x'|int(9)
'x'|int(default='n')
'1f'|int(base=16)
'0x1f'|int(base=16)
'0b11'|int(0, 0)
' 12 '|int
'1_000'|int
'-5'|int
4.9|int
-4.9|int
none|int
none|int(3)
[]|int
true|int
'inf'|int
'1e3'|int
'٣'|int
'1.5'|float
'x'|float
'x'|float(1.5)
none|float
'nan'|float
'-inf'|float
3|float
true|float
'1_0.5'|float
(-3)|abs
-3|abs
'a'|abs
true|abs
xs|sum
xs|sum(start=10)
ws|sum
[[1], [2]]|sum(start=[])
xs|min ~ xs|max
ws|min ~ ws|max ~ ws|max(true)
[]|min
[1, 'a']|max
xs|unique|list
ws|unique|list
ws|unique(true)|list
[1, 1.0, true, '1']|unique|list
[[1], [1]]|unique|list
'%s-%s'|format('a', 'b')
'%(x)s'|format(x=1)
'%s'|format
'%s'|format('a', x=1)
d|attr('items')
d|attr('a')
s|attr('upper')
namespace(a=1)|attr('a')
missing|attr('a')
d|pprint
s|pprint
d|tojson
d|tojson(indent=2)
d|tojson(indent='--')
d|tojson(indent=0)
nested|tojson(indent=4)
[]|tojson(indent=2)
{}|tojson(indent=2)
d|tojson(separators=(',', ':'))
d|tojson(sort_keys=true)
u|tojson
u|tojson(ensure_ascii=true)
u|tojson(true)
q|tojson
html|tojson
[1, 1.0, 1e22, 1e-7, none, true, 'x']|tojson
{1: 2, 1.5: 3, none: 4, true: 5}|tojson
{(1, 2): 3}|tojson
(1, 2)|tojson
missing|tojson
[missing]|tojson
namespace(a=1)|tojson
range(3)|tojson
d.items()|tojson
{'b': 1, 2: 3}|tojson(sort_keys=true)
xs|map('string')|tojson
'\x7f\u2028'|tojson
'\x7f\u2028'|tojson(ensure_ascii=true)
big|tojson
[small, large, f]|tojson
1e16 ~ ' ' ~ 1e15 ~ ' ' ~ 0.0001 ~ ' ' ~ 0.00001 ~ ' ' ~ 1.0 ~ ' ' ~ 123456789.123
0.1 + 0.2
1e308 * 10
-0.0
3 is odd and 4 is even and 9 is divisibleby 3
9 is divisibleby(2)
'a' is odd
3.0 is odd
s is string and i is number and f is float and i is integer
yes is boolean and yes is true and no is false
yes is number
yes is integer
none is none
none is iterable
none is sequence
missing is iterable
missing is callable
missing is sequence
missing is none
missing is undefined
d.x is defined
d.a is mapping
d is mapping
d is sequence
d is iterable
(xs|map('string')) is iterable
(xs|map('string')) is sequence
range(3) is sequence
d.items() is sequence
s is iterable
dict is callable
s.upper is callable
namespace is callable
'abc' is lower
'ABC' is upper
1 is lower
1 is sameas 1
none is sameas none
yes is sameas true
xs is sameas xs
'a' is in 'abc'
'a' is in(['a'])
1 is in 2
3 is eq 3
3 is == 3
3 is lt 4
3 is not gt 4
3 is ge(3)
'a' is lt 1
3 is equalto 3.0
'upper' is filter
'nope' is filter
'odd' is test
1 is filter
1 is nope
1 is not nope
s is escaped
s is not string
not s is string
s is string is true
x is defined if true else 'n'
1 is odd or 2 is odd
[1] is eq [1]
'a' is eq 'a' ~ 'b'
1 if s is string else 2
range(5)|list
range(2, 8, 3)|list
range(5, 0, -2)|list
range(0)|list
range(1, 2, 0)
range('a')
range(1.5)
range(200000)
range(100000)|length
range(3)
range(1, 9, 2)
range(3) == range(0, 3)
dict(a=1, b=2)
dict([('a', 1)])
dict([('a', 1)], b=2)
dict({'a': 1}, a=3)
dict(1)
dict([1])
dict.fromkeys(['a', 'b'], 0)
dict.fromkeys('ab')
namespace(a=1)
namespace(a=1).a
namespace(a=1).b
namespace(a=1)['a']
namespace({'a': 1}, b=2)
namespace(_a=1)
namespace()
namespace() == namespace()
cycler('a', 'b').next()
cycler()
cycler('a', 'b').current
joiner()() ~ joiner('|')()
raise_exception('stop')
raise_exception()
lipsum|string|length > 0
loop
self
caller
varargs
xs|nofilter
xs is nofilter
xs|join(sep=',')
xs|join(',', d='x')
s|upper(1)
s|length()
dict(**{'a': 1})
dict(**{1: 2})
dict(*[[('a', 1)]])
dict(a=1, **{'a': 2})
dict(a=1, a=2)
s.split(*[','])
s.split(sep=', ')
'a' ~ none ~ true ~ 1.0 ~ [1] ~ {'a': none} ~ ('x',)
[none, missing, true]
d == {'a': [1, {'x': none}], 'b': 1, 'items': 'own'}
[1, 2] == (1, 2)
{'a': 1} == {'a': 1.0}
'1' == 1
none == false
[] == none
xs and ws
none or 'x'
'' or 0 or []
1 and 0
not []
not missing
1 == 1 and 2 > 1 or x.y.z
(1, 2) + (3,) == (1, 2, 3)
[[1, 2], [3]]|sum(start=[])|join
s|upper|lower|title
s|upper|length * 2
-i|abs
(-i)|abs
i|string + 'a'
i + 1|string
s[0]|upper
s.upper()[0:3]|lower
s.lower().split(', ')[1].title()
d.a[0] + 1
d['a'][1]['x'] is none
users[0].name[0]
users.0.name
users[-1]['tags'] is undefined
messages[1].content is none
messages[1]['content'] or 'empty'
messages|map(attribute='role')|list
messages|selectattr('role', 'equalto', 'user')|list|length
(messages|last).role
messages[::-1][0].role
messages[1:]|length
strftime_now is callable
1 ; 2
{{ 1 }}
1 2
a b
[1, 2
foo(
foo(a=1, 2)
foo(*[1], 2)
!1
a ? b : c
a = 1
a && b
'unclosed
x.
x..y
x.1y
[,]
{,}
{'a'}
(,)
,
1,
1, 2
*[1]
lambda x: x
[x for x in xs]
not
in
if
is
true
True
TRUE
None
none.x
none['x']
true.x
i.x
i[0]
f.x.y
'a'.b
'a'.b.c
'%c' % 65
'%c' % 'ab'
'%-3d|' % 5
'%03d' % -5
'%+.2e' % 12345.6789
'%s %(a)s' % {'a': 1}
big + 1
big // 3
-big
9223372036854775807 + 1
0.1 + 0.7
100000000000000000000000
1e400
5 / 2
6 / 2
2 ** 0.5
7 // 0.5
'a\u00a0b'.split()
'\u00a0x\u00a0'|trim
'x\x1cy'.split()
'a\u2028b'.splitlines()
'ß'.upper() ~ 'ŉ'.upper() ~ 'Σ'.lower() ~ 'ΑΣ'.lower()
'ǆ'.upper()
'\x00\x1f\x7f\x80\u00ad\ufeff\ue000'|list
['\U0001f642', '\u0301', '\u3000']
('<'|safe) + '<'
""".strip("\n").split("\n")
TEMPLATES = [
    "{% for x in xs %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }};{% endfor %}",
    "{% for x in xs %}{{ loop.previtem }}<{{ x }}>{{ loop.nextitem }}{{ loop.cycle('a', 'b') }}{{ loop.changed(x > 1) }} {% endfor %}",
    "{% for x in xs if x > 1 %}{{ loop.index }}/{{ loop.length }}:{{ x }}{{ loop.last }} {% else %}none{% endfor %}",
    "{% for x in xs if x > 9 %}{{ x }}{% else %}none{% endfor %}",
    "{% for x in [] %}{{ x }}{% else %}empty{{ x }}{% endfor %}",
    "{% for x in missing %}{{ x }}{% else %}undefined{% endfor %}",
    "{% for x in none %}{% endfor %}",
    "{% for x in 5 %}{% endfor %}",
    "{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}{% for k in d %}{{ k }}{% endfor %}",
    "{% for a, b in [(1, 2), [3, 4], 'xy'] %}{{ a }}{{ b }} {% endfor %}",
    "{% for a, b in [1] %}{% endfor %}",
    "{% for a, (b, c) in [(1, (2, 3))] %}{{ a }}{{ b }}{{ c }}{% endfor %}",
    "{% for x in nested recursive %}{{ loop.depth }}{{ loop.depth0 }}{% if x is iterable %}[{{ loop(x) }}]{% else %}{{ x }}{% endif %}{% endfor %}",
    "{% for x in xs %}{{ loop(x) }}{% endfor %}",
    "{% for x in xs %}{% if x == 1 %}{% continue %}{% endif %}{{ x }}{% endfor %}",
    "{% for x in xs %}{% if x == 1 %}{% break %}{% endif %}{{ x }}{% endfor %}",
    "{% for x in xs %}{% break %}{% else %}else{% endfor %}",
    "{% for x in xs %}{% continue %}{% else %}else{% endfor %}",
    "{% break %}", "{% for x in xs %}{% macro m() %}{% break %}{% endmacro %}{% endfor %}", "{% for x in xs %}{% endfor %}{% continue %}",
    "{% set x = 0 %}{% for y in xs %}{% set x = x + y %}{{ x }} {% endfor %}{{ x }}",
    "{% set ns = namespace(x=0) %}{% for y in xs %}{% set ns.x = ns.x + y %}{% endfor %}{{ ns.x }}{{ ns.y }}",
    "{% set ns = namespace() %}{% set ns.a, ns.b = 1, 2 %}{{ ns.a }}{{ ns.b }}", "{% set d.x = 1 %}", "{% set nope.x = 1 %}", "{% set ns = namespace() %}{% set ns._a = 1 %}",
    "{% set a, b = 1, 2 %}{{ a }}{{ b }}", "{% set a, b = [1] %}", "{% set a = 1, 2 %}{{ a }}", "{% set (a, b) = 'xy' %}{{ b }}{{ a }}", "{% set 1 = 2 %}", "{% set true = 2 %}",
    "{% set a %}x{{ i }}y{% endset %}{{ a }}", "{% set a | upper | replace('X', 'z') %}xax{% endset %}{{ a }}", "{% set a %}{% set b = 1 %}{{ b }}{% endset %}{{ a }}{{ b }}",
    "{% if false %}{% set a = 1 %}{% endif %}{{ a is defined }}{% if true %}{% set a = 2 %}{% endif %}{{ a }}",
    "{% if xs %}a{% elif nope %}b{% else %}c{% endif %}{% if none_list %}a{% elif i %}b{% else %}c{% endif %}{% if 0 %}a{% elif '' %}b{% else %}c{% endif %}",
    "{% if 1, 0 %}tuple{% endif %}", "{% if true %}{% if false %}a{% else %}b{% endif %}{% endif %}", "{% if %}{% endif %}", "{% if x %}", "{% endif %}", "{% else %}",
    "{% if false %}{{ x|nofilter }}{% endif %}ok", "{% if true %}{{ x|nofilter }}{% endif %}", "{{ (x|nofilter) if false else 1 }}", "{{ 1 if true else x is nope }}",
    "{% if false %}{% for a in xs %}{{ x|nofilter }}{% endfor %}{% endif %}ok",
    "{% macro m(a, b=2, c=a) %}{{ a }}{{ b }}{{ c }}{% endmacro %}{{ m(1) }} {{ m(1, 3) }} {{ m(b=5, a=4) }} {{ m() }}", "{% macro m(a) %}{% endmacro %}{{ m(1, 2) }}",
    "{% macro m(a) %}{% endmacro %}{{ m(z=1) }}", "{% macro m(a) %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, 2, 3, x=4) }}", "{% macro m(a, a) %}{% endmacro %}",
    "{% macro m(a=1, b) %}{% endmacro %}", "{% macro m() %}{{ x }}{% endmacro %}{% set x = 1 %}{{ m() }}{% set x = 2 %}{{ m() }}",
    "{% macro m() %}{% set x = 5 %}{{ x }}{% endmacro %}{% set x = 1 %}{{ m() }}{{ x }}", "{% for x in xs %}{% macro m() %}{{ x }}{% endmacro %}{{ m() }}{% endfor %}{{ m is defined }}",
    "{% macro m(n) %}{{ n }}{% if n > 0 %}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(3) }}", "{{ m() }}{% macro m() %}x{% endmacro %}",
    "{% macro m() %}[{{ caller() }}]{% endmacro %}{% call m() %}body{{ i }}{% endcall %}", "{% macro m() %}{{ caller(1, 2) }}{% endmacro %}{% call(a, b=3) m() %}{{ a }}{{ b }}{% endcall %}",
    "{% macro m() %}x{% endmacro %}{% call m() %}y{% endcall %}", "{% macro m() %}{{ caller() }}{% endmacro %}{{ m() }}", "{% macro m() %}{{ caller is defined }}{% endmacro %}{{ m() }}",
    "{% call s.upper %}{% endcall %}", "{% call s.upper() %}{% endcall %}", "{% macro m(a) %}{% endmacro %}{{ m.name }}{{ m.arguments }}{{ m.caller }}{{ m.catch_kwargs }}{{ m }}",
    "{% macro m(x) %}{% for y in x %}{{ y }}{% if loop.last %}.{% endif %}{% endfor %}{% endmacro %}{{ m(xs)|upper }}{{ m(xs) == '312.' }}",
    "{% filter upper %}abc{{ i }}{% endfilter %}{% filter replace('a', 'b')|title %}aaa{% endfilter %}", "{% filter nofilter %}{% endfilter %}", "{% filter upper %}{% set z = 1 %}{% endfilter %}{{ z }}",
    "{% with a=1, b=2 %}{{ a }}{{ b }}{% endwith %}{{ a }}", "{% set a = 5 %}{% with a=1, b=a %}{{ a }}{{ b }}{% endwith %}{{ a }}", "{% with %}{% set q = 1 %}{{ q }}{% endwith %}",
    "{% raw %}{{ x }}{% y %}{# z #}{% endraw %}|", "a\n  {% raw %}\n  {{ x }}\n  {% endraw %}\nb", "{%- raw -%}  {{ x }}  {%- endraw -%}  z", "{% raw %}", "{# c #}a{# d\n#}\nb{#- e -#}  c", "{# x",
    "{% block a %}x{{ i }}{% endblock %}y", "{% for x in xs %}{% block a %}{{ x }}{% endblock %}{% endfor %}", "{% for x in xs %}{% block a scoped %}{{ x }}{{ loop.index }}{% endblock %}{% endfor %}",
    "{% set z = 1 %}{% block a %}{{ z }}{% set z = 2 %}{% endblock %}{{ z }}", "{% block a %}{% endblock %}{% block a %}{% endblock %}", "{% block a required %}{% endblock %}",
    "{% include 'x' %}", "{% extends 'x' %}", "{% import 'x' as y %}", "{% from 'x' import y %}", "{% if false %}{% include 'x' %}{% endif %}ok", "{% do xs %}", "{% nope %}", "{% debug %}",
    "{% autoescape false %}{{ html }}{% endautoescape %}", "{% print i, s %}", "{% set loop = 1 %}{{ loop }}", "{% for x in xs %}{% set loop = 1 %}{% endfor %}", "{% for loop in xs %}{% endfor %}",
    "a{% if true %}\n  b\n{% endif %}\nc", "  {% if true %}\n  x\n  {% endif %}\n", "  {%+ if true %}\n  x\n  {%- endif %}\n y", "{%- if true -%}\n\n x \n\n{%- endif -%}\n z", "a {{- ' b ' -}} c",
    "a\n\n{{ 1 }}\n\n", "{{ 1 }}\n", "{% if true %}\nx{% endif +%}\ny", "\t {% set a = 1 %} x\n\t {% set b = 2 %}\n", "x {#- a #}\n y {# b -#}\n z", "a\r\nb\rc{{ 1 }}\r\n", "{%- set a = 1 -%}{{ a }}",
    "{% for x in xs -%}\n  {{ x }}\n{%- endfor %}", "{{ '{{' }}{{ '}}' }}{{ '%}' }}", "{{ {'a': {'b': 1}}['a'] }}", "{{ {'a':{}} }}", "{{}}", "{{ }}", "{%%}", "{% %}", "{{ 1", "{{ 1 %}", "{% if true }}x",
    "{{ 1 }}}", "{ { 1 } }", "a { b % c # d", "{{'a'}}{{-'b'-}}{{+1}}", "{%if true%}x{%endif%}", "{% if true:%}x{% endif %}", "{% for x in xs: %}{{ x }}{% endfor %}",
    "{% set a = xs|map('string') %}{{ a|join }}{{ a|join }}", "{% set c = cycler('a', 'b') %}{{ c.next() }}{{ c.next() }}{{ c.next() }}{{ c.reset() }}{{ c.current }}",
    "{% set j = joiner(', ') %}{% for x in xs %}{{ j() }}{{ x }}{% endfor %}", "{% set ns = namespace(l=[]) %}{% set ns.l = [ns] %}{{ ns }}{{ ns.l }}{{ ns == ns }}{{ [ns] == [ns] }}",
    "{% set ns = namespace(l=[]) %}{% set ns.l = [ns] %}{{ ns.l|tojson }}", "{% set ns = namespace(go=true) %}{% for x in xs if ns.go %}{{ x }}{% set ns.go = false %}{% endfor %}",
    "{% for x in xs %}{% for y in xs %}{{ loop.index }}{% endfor %}{{ loop.index }} {% endfor %}", "{% for x in xs %}{{ loop }}{% endfor %}", "{% for x in xs %}{{ x }}{% set last = x %}{% endfor %}{{ last }}",
    "{% for x in xs %}{{ y is defined }}{% set y = x %}{% endfor %}", "{% for x in 'ab' %}{% for y in 'cd' if y != x %}{{ x }}{{ y }}{% if not loop.last %},{% endif %}{% endfor %};{% endfor %}",
    "{% for m in messages %}{% if m.content %}{{ m.content }}{% else %}{{ raise_exception('no content in ' ~ loop.index) }}{% endif %}{% endfor %}",
    "{% for m in messages %}{% if m.role == 'assistant' %}{% generation %}{{ m.content }}{% endgeneration %}{% else %}{{ m.content }}{% endif %}{% endfor %}",
    "a{% generation %}b日{% endgeneration %}c{%- generation -%} d {%- endgeneration %}", "{% macro m() %}x{% generation %}y{% endgeneration %}{% endmacro %}a{{ m() }}b",
    "{% for x in xs %}{% generation %}{{ loop.index }}{% set z = x %}{% endgeneration %}{{ z }}{% endfor %}", "{% for x in xs %}{% generation %}{% break %}{% endgeneration %}{% endfor %}",
    "{% generation %}a{% generation %}b{% endgeneration %}{% endgeneration %}", "{% generation %}", "{% set x %}a{% generation %}b{% endgeneration %}{% endset %}{{ x }}",
    "{{ strftime_now('x') }}", "{% set x = strftime_now('%%') %}{{ x }}", "{{ range.__class__ }}{{ ''.__class__ }}", "{{ xs.append(1) }}", "{% set x = xs.append(1) %}", "{{ ''.__class__.__mro__ }}", "{{ ().__class__ }}",
    "{% set content = messages[0]['content'] %}{{ '<|' ~ messages[0]['role'] ~ '|>' + content | trim + '<|end|>' }}", "{{ messages[0]['content'].split('h')[-1].strip('\\n') }}",
    "{%- macro f(p, r=[]) -%}{%- for k, v in p|dictsort -%}{{- k }}:{{ v|tojson }}{{ ',' if not loop.last }}{%- endfor -%}{%- endmacro -%}{{ f({'b': 1, 'a': [true]}) }}",
    "{% for x in xs|sort(reverse=true) %}{{ x }}{% endfor %}{% for x in xs|reverse %}{{ x }}{% endfor %}{% for i in range(xs|length - 1, -1, -1) %}{{ xs[i] }}{% endfor %}",
    "{% set x = 1 %}{% block a %}{% set y = x %}{{ y }}{% endblock %}{{ y }}", "{% macro a() %}{% macro b() %}b{% endmacro %}{{ b() }}{% endmacro %}{{ a() }}",
]


def rendered(source, spans=False):
    """The text, with the characters in `{% generation %}` blocks, or none where it fails."""
    try:
        template = _compile_jinja_template(source)
        blocks, marks = [], []
        with template.environment.activate_tracker(blocks, marks):
            for block in template.generate(**copy.deepcopy(CONTEXT)):
                blocks.append(block)
        text = re.sub(r"(?i) at 0x[0-9a-f]+", "", "".join(blocks))
        text.encode()
        return [text, marks] if spans else text
    except Exception:
        return None


def main():
    printable = [value for value in VALUES if value not in ("dict", "s.upper")]
    marked = ("e", "escape", "forceescape", "safe")
    products = [f"{value}|{name}" for value in printable for name in FILTERS if name not in ("random", "urlize", *marked)
                and not ("map" in value and name in ("center", "wordcount"))]
    products += [f"({value}|{name}) ~ ''" for value in printable for name in marked]
    products += [f"{value} is {name}" for value in VALUES for name in TESTS if name.isalpha()]
    products += [f"{a} {op} {b}" for op in ["+", "-", "*", "/", "//", "%", "**", "==", "<", ">=", "in", "~", "and"]
                 for a in ["s", "i", "neg", "f", "yes", "nothing", "xs", "d", "missing", "(1, 2)", "'%s'"] for b in ["s", "2", "-1", "f", "no", "nothing", "xs", "d", "missing", "(1, 2)"]]
    cases = {
        "context": CONTEXT,
        "expressions": {text: rendered("{{ " + text + " }}") for text in EXPRESSIONS},
        "products": {text: rendered("{{ [" + text + "] }}") for text in products},
        "templates": {text: rendered(text, spans=True) for text in TEMPLATES},
    }
    (HERE / "jinja.json").write_text(json.dumps(cases, ensure_ascii=False, indent=0) + "\n")


if __name__ == "__main__":
    main()
