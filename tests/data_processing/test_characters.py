from data_processing.characters import damaged, whole_characters


def test_half_a_character_is_replaced_and_nothing_else_moves() -> None:
    assert whole_characters("a\ud800b\x00\udfff🙂é") == "a\ufffdb\x00\ufffd🙂é"
    for text in ("", "plain", "🙂é\ufffd\x00", "\ud7ff\ue000"):
        assert whole_characters(text) == text
        assert not damaged(text)
    assert damaged("\ud800")
    assert damaged("x\udfff")
