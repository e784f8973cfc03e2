"""Blocks of the languages that need a grammar: sound ones, fragments shown to a reader, and broken ones."""

from __future__ import annotations

SOUND = {
    "js": (
        "const f = async (x) => {\n  await g(...x);\n  return `a ${x?.b ?? 1}`;\n};",
        "import a, { b } from './a.js';\nexport default class A extends B {\n  #x = 1;\n  get x() { return this.#x; }\n}",
        "for (const [k, v] of Object.entries(o)) {\n  console.log(k, v);\n}",
        'const el = (\n  <div className="a">\n    {items.map(i => <Item key={i} {...i} />)}\n  </div>\n);',
        "try {\n  f();\n} catch {\n  g();\n} finally {\n  h();\n}",
    ),
    "ts": (
        "interface A<T> {\n  a?: string;\n  f(x: T): Promise<Array<T>>;\n}",
        "type U = { kind: 'a' } | { kind: 'b'; n: number };\nconst x = <const T>(v: T) => v satisfies unknown;",
        "export abstract class A implements B {\n  constructor(private readonly x: number) {}\n}",
        "enum E {\n  A = 1,\n  B,\n}\ndeclare module 'x' {\n  export function f(): void;\n}",
    ),
    "go": (
        'package main\n\nimport "fmt"\n\nfunc main() {\n\tfmt.Println("a")\n}',
        "func (s *Server) Do(ctx context.Context, xs ...int) (n int, err error) {\n\tdefer s.mu.Unlock()\n\tgo func() { ch <- 1 }()\n\treturn\n}",
        'type A[T any] struct {\n\tX T `json:"x"`\n}\n\nvar m = map[string][]int{"a": {1, 2}}',
        'if err := f(); err != nil {\n\treturn fmt.Errorf("x: %w", err)\n}\nswitch x := v.(type) {\ncase int:\n\tg(x)\n}',
    ),
    "rust": (
        'use std::collections::HashMap;\n\nfn main() -> Result<(), Box<dyn Error>> {\n    let x: Vec<_> = (0..3).map(|i| i * 2).collect();\n    println!("{x:?}");\n    Ok(())\n}',
        "#[derive(Debug, Clone)]\npub struct A<'a, T: Send + 'a> {\n    x: &'a T,\n}\n\nimpl<'a, T: Send> A<'a, T> {\n    pub async fn f(&mut self) -> Option<u8> {\n        self.g().await?;\n        None\n    }\n}",
        "match x {\n    Some(n) if n > 1 => n,\n    Some(_) | None => 0,\n}",
        'let Some(x) = y else {\n    return;\n};\nlet s = r#"a "b" c"#;',
    ),
    "java": (
        'package a.b;\n\nimport java.util.*;\n\npublic class A<T extends B> {\n    private final List<T> xs = new ArrayList<>();\n\n    @Override\n    public String toString() {\n        return xs.stream().map(x -> x.name()).collect(joining(","));\n    }\n}',
        "record P(int x, int y) {\n    P {\n        if (x < 0) throw new IllegalArgumentException();\n    }\n}",
        "var s = switch (k) {\n    case A -> 1;\n    default -> {\n        yield 2;\n    }\n};",
        "try (var in = open()) {\n    read(in);\n} catch (IOException | E e) {\n    log(e);\n}",
    ),
    "ruby": (
        "class A < B\n  attr_reader :x\n\n  def initialize(x:, **rest)\n    @x = x || {}\n  end\nend",
        '[1, 2].each_with_index do |v, i|\n  puts "#{v} #{i}" unless v.nil?\nend',
        "begin\n  f\nrescue E => e\n  raise\nensure\n  g\nend",
        "case x\nin {a: Integer => n}\n  n\nelse\n  0\nend",
    ),
}  # fmt: skip
# No whole program, and none that claims to be.
SHOWN = {
    "js": (
        "{\n  a: 1,\n  b: [2],\n}", "onClick() {\n  this.x = 1;\n}", "case 1:\n  f();\n  break;", "const a = [\n  1,\n  ...\n];",
        "f({\n  // rest unchanged\n  a: 1,", "> 1 + 1\n2", "f(1)\n// => {\n  a: 1\n}", "a.b(x[, y])\nc()", "const x: number = 1;\nlet y: A<B> = f();",
        "f(/* your options */);\ng()", "function f(a, b) {", '<Item a="1">\n  text\n</Item>', "x = {{ value }}\ny",
    ),
    "ts": ("a: string;\nb?: number;", "private x = 1;\nf(): void {}", "function f(a: A): B", "foo: <your-key>,\nbar: 1", "f({\n  n: <number>,\n});"),
    "go": ('A int\nB string `json:"b"`', "func f() {\n\t...\n}", "Do(x int) error\nClose()", "$ go run .\nok"),
    "rust": ("fn main() {", "a: u8,\nb: String,", "Some(x) => x,\nNone => 0,", "fn f() {\n    …\n}", "let x = 1;\nx + 1"),
    "java": ("private int x;\n\nvoid f() {\n    x++;\n}", "int f(int x);\nvoid g();", "@Test\npublic void t() {\n    // rest of the test\n"),
    "ruby": ("def f", "x = 1\n# existing code\ndef g"),
    "kotlin": ("fun f( {\n",),
    "text": ("if (\n",),
}  # fmt: skip
BROKEN = {
    "js": (
        "const x = {\n  a: 1\n  b: 2\n};", "function f() {\n  return (1 + 2;\n}", "if (a {\n  b();\n}", "const a = [1, 2\nconst b = 3;",
        "class A {\n  f() {\n    return 1;\n}", "import { a from './a.js';\na();", "const = 1;\nf();", "let s = 'abc;\nf();", "def f(x):\n    return x",
    ),
    "ts": ("interface A {\n  a: ;\n}", "type A = {\n  a: string\n", "const f = (x: number => x;\nf(1);", "enum E {\n  A = ,\n}"),
    "go": ('func main() {\n\tfmt.Println("a"\n}', "if x == 1\n{\n\tf()\n}", "func f(a int b int) {\n\treturn\n}", "package main\n\nfunc {\n}", "x := [3]int{1, 2\ny := 1"),
    "rust": ('fn main() {\n    println!("a");\n', "fn f(x: u8 -> u8 {\n    x\n}", "let x = ;\nf();", "struct A {\n    x: u8\n    y: u8\n}", "fn f() {\n    if x {\n}"),
    "java": ("public class A {\n    void f() {\n        g();\n    }\n", "int x = 1\nint y = 2;", "void f( {\n    g();\n}", "class A {\n    int int = 1;\n}", "for (int i = 0; i < 3; i++ {\n    f(i);\n}"),
    "ruby": ("def f(x)\n  x\n", "class A\n  def f\n    1\n  end\n", "[1, 2].each do |x|\n  puts x\n}", "if x\n  y(1\nend", "x = {a: 1, b: }}\ny"),
}  # fmt: skip
