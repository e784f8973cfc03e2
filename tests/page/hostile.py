"""What a hostile model may say, and what must hold for a page that shows it."""

from openfusion_auto.page.render import seen

HOSTILE = {
    "script": "<script>document.title = 'owned'</script><img src=x onerror=\"document.title='owned'\">",
    "svg": "<svg onload=\"document.title='owned'\"><a xlink:href=\"javascript:alert(1)\">x</a></svg><iframe src=/></iframe>",
    "links": "[a](javascript:document.title='owned') <javascript:alert(1)> [b](data:text/html,<script>alert(1)</script>) ![p](https://evil.example/p.png)",
    "style": '<style>body{display:none}</style><div style="position:fixed;inset:0">x</div> <base href=//evil.example>',
    "right-to-left": "pay \u202e001$ yap\u2066 \u0634\u0643\u0631\u0627 \u05e9\u05dc\u05d5\u05dd \u200fend",
    "escapes": "\x1b[31mred\x1b[0m \x1b]0;owned\x07 \x1b[2J \x9b31m \x00 \x7f bell",
    "one line": "<b>" * 340_000,
}  # fmt: skip


async def check_harmless(page):
    """Nothing ran, nothing was loaded from elsewhere, nothing leads to a script (`look` hears of violations)."""
    assert "owned" not in await page.title()
    inside = "main script, main style, main iframe, main img, main base, main object, main [onload], main [onerror], main [style]"
    assert await page.locator(inside).count() == 0
    links = await page.eval_on_selector_all("main a", "all => all.map(a => a.protocol)")
    assert set(links) <= {"http:", "https:"}
    loaded = await page.evaluate(
        "performance.getEntriesByType('resource').map(e => new URL(e.name).origin)"
    )
    assert set(loaded) <= {await page.evaluate("location.origin")}
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")


async def check_shown(page, where, text):
    """What was said can be read, as text: what turns or hides is shown."""
    found = await page.locator(where).first.evaluate("e => e.textContent")
    for piece in seen(text)[:200].split():
        if "](" not in piece and "<" not in piece:  # what Markdown reads as its own
            assert piece in found
    assert ("<" in found) == ("<" in text)
    assert not {c for c in found if c in "\u202e\u2066\u200f\x1b\x07\x00"}
