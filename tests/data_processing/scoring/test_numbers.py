"""The final number of a reply: adversarial replies by hand, and numbers written in every form."""

from __future__ import annotations

import time
from fractions import Fraction

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from configs.errors import InputError
from data_processing.scoring.numbers import final_number, gsm8k

SORRY = "I'm sorry, but I can't help with that. I do not know."


@pytest.mark.parametrize(
    ("prediction", "truth"),
    [
        # signs, commas, currency, decimals, units
        ("1,250", "1250"),
        ("The total is $1,250.00.", "#### 1250"),
        ("#### -3", "-3"),
        ("= −3", "-3"),
        ("it fell to –3", "-3"),
        ("-$5", "-5"),
        ("$-5", "-5"),
        ("-€5", "-5"),
        ("£1,250.50", "1250.5"),
        (".5", "0.50"),
        ("1,234,567.5", "1234567.5"),
        ("it weighs 12kg.", "12"),
        ("**Answer: 42 km/h**", "42"),
        ("5-3", "3"),
        ("First 3, then 4, at last 9.", "9"),
        ("the area is 12 cm^2", "12"),
        ("the area is $12 \\text{ cm}^{2}$", "12"),
        ("turn by 45^\\circ", "45"),
        ("٤٢", "42"),
        # the forms that prompts ask for
        ("R: 7*7=<<7*7=49>>49\nA: <49>", "49"),
        ("R: 35 + 14 = <<35+14=49>>49 arms of 7 starfish\nA: 49 \n", "49"),
        ("A: <49 dollars>", "49"),
        ("A: < 49 >;", "49"),
        ("A: <$1,250.00>", "1250"),
        ("A: <-1/2>", "-0.5"),
        ("A: **49** in 7 steps", "49"),
        ("#### 18\n\nHave a nice day in 2024!", "18"),
        ("#### $20.00", "20"),
        ("so \\boxed{1{,}250} it is, not 3", "1250"),
        ("\\boxed{\\$12.50}", "12.5"),
        ("\\boxed{\\text{12 apples}} of 30", "12"),
        ("The answer is 11 because 5 + 6 = 11, as I said in step 2", "11"),
        ("A: The total is 5 + 6 = 11 apples", "11"),
        ("she ran 5 - 3 = 2 miles", "2"),
        ("The final answer is:\n\n42\n\n(I checked 3 times.)", "42"),
        ("**Final Answer**: 42. It took 3 steps.", "42"),
        ("The answer is not 12 but 13", "13"),
        ("answer: 10/3 ≈ 3.33 litres, or 4 bottles", "3.33"),
        ("12 apples and 3 pears", "3"),
        ("The answer is 12 apples and 3 pears", "12"),
        ("#### 17\nNo, I was wrong.\n#### 18", "18"),
        # headings are no answers
        ("#### Step 1\nAdd 2.\n#### Step 2\n\\boxed{18}", "18"),
        ("#### Step 1: Add 2\n The answer is 18", "18"),
        ("#### 1. First\n#### 2. Second\nAnswer: 18", "18"),
        ("#### 1 Setup\n\nAnswer: 18", "18"),
        ("#### 1) Count the eggs\nSo 18.", "18"),
        ("#### 18\n#### Note 2", "18"),
        ("#### **18** dollars per day\n(2 steps)", "18"),
        ("#### 5 + 13 = 18\n(2 steps)", "18"),
        ("####\n18\n(2 steps)", "18"),
        ("#### 90 minutes or 1 hour and 30 minutes", "90"),
        ("#### 18 because 5 and 13 are 18, in 2 steps", "18"),
        # signs in words
        ("The answer is negative 5", "-5"),
        ("The answer is minus 5.", "-5"),
        ("minus 5", "-5"),
        ("Negative $5", "-5"),
        ("It is 20 minus 2", "2"),
        # what is denied, calculated or only said behind
        ("The answer isn't 20. It's 18.", "18"),
        ("The answer isn’t 20. It’s 18.", "18"),
        ("It's 18, not 20.", "18"),
        ("The answer is 20 minus 2, which is 18.", "18"),
        ("The answer is 20 - 2, which makes 18 of 30.", "18"),
        ("The answer is 18, which is 3 more than 15", "18"),
        ("**18**\n\nLet me know if you need 2 more examples!", "18"),
        ("The total cost is **$18** for 3 days.", "18"),
        ("There are **5** boxes. 5 * 3 = 15", "15"),
        ("There are **5** boxes, so she has 15 apples", "15"),
        ("**3** apples and **5** pears make 8", "8"),
        ("So 18 is the correct answer. Let me know if you have 1 more question", "18"),
        ("18 eggs is our answer, in 2 steps", "18"),
        # powers
        ("10^3", "1000"),
        ("\\boxed{10^3}", "1000"),
        ("2^{10}", "1024"),
        ("-10^{3}", "-1000"),
        ("10^{-3}", "0.001"),
        ("25^2", "625"),
        # fractions
        ("1/2", "0.5"),
        ("The answer is 1/2 of the cake", "0.5"),
        ("\\boxed{\\frac{1}{2}}", "0.5"),
        ("$\\dfrac{-1}{2}$", "-0.5"),
        ("-\\frac{1}{2}", "-0.5"),
        ("\\boxed{\\frac12}", "0.5"),
        ("2 1/2 hours", "2.5"),
        ("-2 1/2", "-2.5"),
        ("2\\frac{1}{2}", "2.5"),
        ("½", "0.5"),
        ("2½", "2.5"),
        ("0.5", "1/2"),
        ("16/2 = 8", "8"),
        # separators other than the comma
        ("1\u202f250", "1250"),
        ("1\u00a0250 €", "1250"),
        ("it costs 1'250 francs", "1250"),
        ("it costs 1’250.50 francs", "1250.5"),
        ("1_250", "1250"),
        ("12 500", "12500"),
        ("#### 12 500 apples", "12500"),
        ("12,50 €", "12.5"),
        ("1.250,50 €", "1250.5"),
        # powers of ten
        ("1.5e3", "1500"),
        ("2E-1", "0.2"),
        ("1.5 × 10^3", "1500"),
        ("$1.5 \\times 10^{3}$", "1500"),
        ("1.5*10**3", "1500"),
        ("3 million", "3000000"),
        ("The answer is $1.5 billion a year", "1500000000"),
        ("3 million", "3"),
        # percent
        ("50%", "50"),
        ("50 %", "0.5"),
        ("\\boxed{50\\%}", "50"),
        ("50 percent", "0.5"),
        ("0.5", "50%"),
    ],
)  # fmt: skip
def test_the_final_number_is_read(prediction: str, truth: str) -> None:
    assert gsm8k(prediction, truth) == 1


@pytest.mark.parametrize(
    ("prediction", "truth"),
    [
        ("12.50", "1250"),
        ("1250", "12.50"),
        ("12,50", "1250"),
        ("12,50", "12"),
        ("12,50", "50"),
        ("12", "2"),
        ("2", "12"),
        ("-3", "3"),
        ("3", "-3"),
        ("1,2,3", "123"),
        ("0.42", "42"),
        ("42 is wrong.\n#### 41", "42"),
        ("9" * 6000, "9"),
        ("1e" + "9" * 50, "1"),
        ("1e999999999", "1"),
        ("nan", "7"),
        ("inf", "7"),
        ("½", "2"),
        ("½", "1"),
        ("1/2", "2"),
        ("1/2", "1"),
        ("#### 1/2", "1"),
        ("\\boxed{\\frac{1}{2}}", "2"),
        ("5/0", "0.5"),
        ("3/4/2020", "0.75"),
        ("1.5e3", "1.5"),
        ("1.5 × 10^3", "3"),
        ("the volume is 12 m^3", "3"),
        ("2^5", "5"),
        ("2^5", "2"),
        ("25^2", "25"),
        ("x_2", "2"),
        ("1\u202f250", "250"),
        ("1'250", "250"),
        ("12 500", "500"),
        ("#### 12 500", "12"),
        ("50%", "5000"),
        ("0.5", "50"),
        ("50", "0.5"),
        ("3 million", "3000"),
        ("3", "3000000"),
        ("The answer is not 12", "13"),
        ("The answer is not 12", "12"),
        ("The answer isn't 20.", "20"),
        ("The answer is negative 5", "5"),
        ("The answer is minus 5", "5"),
        ("#### Step 1", "2"),
        ("0^-1", "1"),
        ("9^999", "9"),
        ("9^99999999", "9"),
        ("1.5^2", "2"),
        ("81^{3/4}", "132860.25"),
        ("2^{x}", "2"),
        # no number at all
        (SORRY, "0"),
        ("GPT42 says nothing", "42"),
        ("twelve", "12"),
        ("None of them", "0"),
        ("\ud800", "0"),
        ("####", "4"),
        ("A: <numeric value>", "0"),
    ],
)  # fmt: skip
def test_no_other_number_is_taken_for_it(prediction: str, truth: str) -> None:
    assert gsm8k(prediction, truth) == 0


def test_the_truth_needs_a_number() -> None:
    with pytest.raises(InputError, match="expected a number in ground_truth, got 'a dozen'"):
        gsm8k("12", "a dozen")


FORMS = ["{:,}", "{}", "It is {:,}.", "#### {:,}", "A: <{}>", "{} apples", "\\boxed{{{}}}", "**{}**", "answer: {} $"]


@settings(max_examples=80, deadline=None)
@given(st.integers(-(10**9), 10**9), st.sampled_from(FORMS))
def test_whole_numbers_survive_every_form(number: int, form: str) -> None:
    assert final_number(form.format(number)) == Fraction(number)


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 10**4), st.sampled_from(["{}/{}", "\\frac{{{}}}{{{}}}", "#### {}/{}"]))
def test_fractions_survive_every_form(top: int, bottom: int, form: str) -> None:
    assert final_number(form.format(top, bottom)) == Fraction(top, bottom)


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="0123456789.,'/^-−+eE×*<>#$%{}\\=½ \u202f_Aa\n", max_size=30))
@example("\\frac{0}{0}")
@example("1e400/1e-400")
def test_no_text_breaks_the_reading(text: str) -> None:
    assert final_number(text) is None or isinstance(final_number(text), Fraction)


@pytest.mark.parametrize(
    "piece",
    ["9", "1,", "1 ", "\\boxed{", "answer is ", "<1", "####", "\\frac{1}", "-", "$", "=", " ", "1'000", "1/1",
     "#### 1 a\n", "**1** ", "*", "minus ", "is ", "not ", "9^9", "1 is the answer ", "1 - 1", "x is "],
)  # fmt: skip
def test_a_long_reply_takes_no_long_time(piece: str) -> None:
    start = time.process_time()
    final_number(piece * (200_000 // len(piece)))
    assert time.process_time() - start < 5  # seconds; a reading that grows with the square takes 25 and more
