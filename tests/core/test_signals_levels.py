"""The tables of risk and complexity: signs, groups, languages."""

from __future__ import annotations

from openfusion_auto.core.signals_levels import COMPLEXITY, COMPLEXITY_ABROAD, RISK, RISK_ABROAD


def test_tables_keep_to_their_axis():
    assert {s.axis for s in (*RISK, *RISK_ABROAD)} == {"risk"}
    assert {s.axis for s in (*COMPLEXITY, *COMPLEXITY_ABROAD)} == {"complexity"}


def test_a_group_points_one_way():
    for table in (RISK + RISK_ABROAD, COMPLEXITY + COMPLEXITY_ABROAD):
        for group in {s.group for s in table}:
            signs = {s.points > 0 for s in table if s.group == group}
            assert len(signs) == 1, group


def test_what_makes_words_harmless_outweighs_one_danger():
    dangers = max(s.points for s in RISK)
    trivial = min(s.points for s in RISK if s.group == "trivial")
    assert dangers + trivial < 0


def test_money_access_and_loss_are_known_in_other_scripts():
    abroad = " ".join(s.terms for s in RISK_ABROAD)
    for word in (
        "密码",
        "パスワード",
        "비밀번호",
        "парол",
        "支付",
        "決済",
        "결제",
        "оплат",
        "生产环境",
        "本番",
    ):
        assert word in abroad
