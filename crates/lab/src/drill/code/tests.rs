//! What Python says of expressions and statements, and what is left to it.

use super::*;

/// Runs a block with a few of the names that a script has.
fn run(block: &str) -> Result<Code, CodeError> {
    let globals = [("tcpi_snd_cwnd", 10), ("tcpi_rtt", 51_300), ("tcpi_options", 7)];
    let globals = globals.map(|(name, value)| (name.to_owned(), value));
    let mut code = Code::new();
    code.run(block, &globals).map(|()| code)
}

fn failure(block: &str) -> String {
    match run(block) {
        Err(error @ CodeError::Failed { .. }) => error.to_string(),
        other => panic!("{block}: {other:?}"),
    }
}

fn unsupported(block: &str) -> String {
    match run(block) {
        Err(CodeError::Unsupported(what)) => what,
        other => panic!("{block}: {other:?}"),
    }
}

#[test]
fn expressions_have_python_s_values() {
    for (expression, value) in [
        ("1 + 2 * 3 ** 2", "19"),
        ("(1 + 2) * 3", "9"),
        ("-7 // 2", "-4"),
        ("-7 % 3", "2"),
        ("7 % -3", "-2"),
        ("7.5 // 2", "3.0"),
        ("-1.5 % 1", "0.5"),
        ("7 / 2", "3.5"),
        ("2 ** -1", "0.5"),
        ("-2 ** 2", "-4"),
        ("2 ** 3 ** 2", "512"),
        ("1 << 4 | 3 ^ 1 & ~0", "18"),
        ("-1 >> 200", "-1"),
        ("0x10 + 0b11 + 1_000", "1019"),
        ("1e3 + .5", "1000.5"),
        ("True + True", "2"),
        ("1 < 2 < 3", "True"),
        ("1 < 3 < 2", "False"),
        ("1 == 1.0", "True"),
        ("1 in (1, 2)", "True"),
        ("1 in (1.0, 2)", "True"),
        ("3 not in [1, 2]", "True"),
        ("'b' in 'abc'", "True"),
        ("5 in range(5)", "False"),
        ("4 in range(2, 5)", "True"),
        ("(1, 2) < (1, 3)", "True"),
        ("None is None", "True"),
        ("1 is not None", "True"),
        ("0 or 'a' or b", "a"),
        ("1 and 0 and b", "0"),
        ("not 0 and not ''", "True"),
        ("1 if 0 else 2", "2"),
        ("abs(-3), min(2, 1), max([1, 5, 3])", "(3, 1, 5)"),
        ("len('abc') + len((1, 2)) + len(range(4))", "9"),
        ("int(2.9), int('12'), int(-2.9)", "(2, 12, -2)"),
        ("round(2.5), round(3.5), round(-0.4)", "(2, 4, 0)"),
        ("round(2.675, 2)", "2.67"),
        ("sum([1, 2.5])", "3.5"),
        ("any([0, 1]), all([])", "(True, True)"),
        ("(1,)", "(1,)"),
        ("()", "()"),
        ("(1, 2)[1], [1, 2][-1]", "(2, 2)"),
        ("'a' \"b\" 'c'", "abc"),
        ("'a\\n\\'' + r'\\n'", "a\n'\\n"),
        (
            "'%d %5.2f|%s|%-4d|%04x|%%|%r' % (5.7, 1.239, 'x', 7, 255, 'q')",
            "5  1.24|x|7   |00ff|%|'q'",
        ),
        ("'cwnd=%d' % tcpi_snd_cwnd", "cwnd=10"),
        (
            "f'{tcpi_rtt / 1000:.1f} ms {tcpi_snd_cwnd=} {{}} {\"s\"!r:>5}'",
            "51.3 ms tcpi_snd_cwnd=10 {}   's'",
        ),
        ("tcpi_options & TCPI_OPT_WSCALE != 0", "True"),
        ("TCP_CA_Recovery, TCP_ESTABLISHED", "(3, 1)"),
    ] {
        let code =
            run(&format!("print({expression})")).unwrap_or_else(|e| panic!("{expression}: {e}"));
        // `print(a, b)` separates with a blank; a tuple is written when it is the only value.
        let shown = run(&format!("x = {expression}\nprint(x)")).unwrap();
        assert_eq!(shown.printed(), [value], "{expression}");
        assert_eq!(code.printed().len(), 1);
    }
}

#[test]
fn statements_are_carried_out_in_their_order() {
    let code = run("a = b = 1; a += 2   # three
c, (d, e) = 4, (5, 6)
if a == 1:
    print('one')
elif a == 3:
    if b:
        print('three',
              b)
    print(c, d, e)
else:
    print('many')
if a: print('yes'); print('too')
pass
f = \\
  a")
    .unwrap();
    assert_eq!(code.printed(), ["three 1", "4 5 6", "yes", "too"]);
}

#[test]
fn the_ways_in_which_scripts_write_asserts_are_understood() {
    for block in [
        "",
        "assert tcpi_snd_cwnd == 10",
        "assert tcpi_snd_cwnd == 10, tcpi_snd_cwnd;",
        "assert (tcpi_options & TCPI_OPT_SYN_DATA) == 0, tcpi_options",
        "assert 50000 <= tcpi_rtt <= 52000, tcpi_rtt; \\\n\t assert tcpi_snd_cwnd == 20 / 2; \\",
        "assert tcpi_snd_cwnd == 10  # as it should\nassert tcpi_rtt > 0\n",
        "assert tcpi_snd_cwnd in (10, 11) and not tcpi_rtt < 0, f'rtt {tcpi_rtt}'",
    ] {
        assert_eq!(run(block).map(drop), Ok(()), "{block}");
    }
}

#[test]
fn a_failed_assertion_tells_its_text_its_message_and_the_values_in_it() {
    for (block, message) in [
        ("assert tcpi_snd_cwnd == 11", "assert tcpi_snd_cwnd == 11; tcpi_snd_cwnd = 10"),
        (
            "x = 'a'\nassert x == 'b' and   tcpi_rtt, 'no %s' % x",
            "assert x == 'b' and tcpi_rtt, 'no %s' % x: no a; x = 'a', tcpi_rtt = 51300",
        ),
        ("assert 1 == 2", "assert 1 == 2"),
        ("assert 0, nothing.at_all()", "assert 0, nothing.at_all()"),
        (
            "assert 1 / (tcpi_snd_cwnd - 10)",
            "assert 1 / (tcpi_snd_cwnd - 10): ZeroDivisionError: division by zero; tcpi_snd_cwnd = 10",
        ),
        ("a = 1 + 'a'", "a = 1 + 'a': TypeError: bad operands: int and str"),
        ("a, b = 1, 2, 3", "a, b = 1, 2, 3: ValueError: 2 names for (1, 2, 3)"),
        ("(1, 2)[2]", "(1, 2)[2]: IndexError: 2 of (1, 2)"),
        ("'%d %d' % 1", "'%d %d' % 1: TypeError: not enough arguments for format string"),
    ] {
        assert_eq!(failure(block), message);
    }
}

#[test]
fn what_cannot_be_evaluated_is_unsupported_and_never_passes() {
    for (block, what) in [
        ("assert tcpi_of_tomorrow == 0", "the name tcpi_of_tomorrow, which has no value"),
        ("assert SO_ERROR == 4", "the name SO_ERROR, which has no value"),
        ("import time\nassert time.time() > 0", "the attribute .time"),
        ("import os.path as p\nx = p", "the module p"),
        ("from math import sqrt\nassert sqrt(4) == 2", "a call of <module 'sqrt'>"),
        ("assert sorted([1])", "the function sorted"),
        ("assert tcpi_rtt.real", "the attribute .real"),
        ("for i in (1, 2): pass", "'for' where a value is expected"),
        ("def f(): pass", "'def' where a value is expected"),
        ("assert {1: 2}", "'{' where a value is expected"),
        ("assert [1, 2][0:1]", "':' where ']' is expected"),
        ("assert lambda: 0", "'lambda' where a value is expected"),
        ("assert", "a line that ends where a value is expected"),
        ("assert 1 2", "'2' where the end of the statement is expected"),
        ("a\n  b", "this indentation"),
        ("if 1:\n    a = 1\n  b = 2", "this indentation"),
        ("if 1:\na = 1", "'a' where an indented line is expected"),
        ("x[0] = 1", "an assignment to what is no name"),
        ("assert 'a", "a string without an end"),
        ("assert '''a'''", "a string in three quotes"),
        ("assert b'a'", "a string with the prefix b"),
        ("assert 012", "the number 012"),
        ("assert 2 ** 200", "an integer of more than 128 bits"),
        ("assert 'a' * 3", "a product of what are not numbers"),
        ("assert 1 is 1", "'is' between other values than None and booleans"),
        ("assert f'{1:q}'", "the format 'q'"),
        ("assert f'{1'", "the braces of this f-string"),
        ("assert $", "the character '$'"),
        ("print(1, end='')", "'=' where ')' is expected"),
    ] {
        assert_eq!(unsupported(block), what, "{block}");
    }
    assert_eq!(unsupported(&format!("x = {}1", "(".repeat(100))), "code nested this deep");
    assert_eq!(unsupported(&format!("x = {}1", "-".repeat(100))), "code nested this deep");
    assert_eq!(unsupported(&format!("x = 1{}", "+1".repeat(300))), "a statement this long");
    let growing = format!("x = 'a'{}", "\nx = x + x".repeat(100));
    assert_eq!(unsupported(&growing), "a value this large");
}

#[test]
fn variables_live_from_block_to_block_and_globals_are_assigned_anew() {
    let mut code = Code::new();
    let globals = |value| [("tcpi_delivered".to_owned(), value)];
    code.run("before = tcpi_delivered", &globals(5)).unwrap();
    code.run("assert tcpi_delivered == before + 3", &globals(8)).unwrap();
    code.run("assert tcpi_delivered == 8", &[]).unwrap();
}

mod properties {
    use proptest::prelude::*;

    use super::*;

    fn pieces() -> impl Strategy<Value = String> {
        let piece = prop::sample::select(vec![
            "assert ",
            "if ",
            "else",
            "elif ",
            "x",
            "tcpi_rtt",
            "1",
            "2.5",
            "'a'",
            "f'{x}'",
            "f'{",
            "'",
            "(",
            ")",
            "[",
            "]",
            ",",
            ":",
            ";",
            "\n",
            "\n  ",
            "\\\n",
            "#",
            "=",
            "==",
            "<",
            "+",
            "-",
            "*",
            "**",
            "/",
            "//",
            "%",
            "<<",
            ">>",
            "~",
            " not ",
            " in ",
            " is ",
            " and ",
            " or ",
            "max(",
            "round(",
            "int(",
            "range(",
            "print(",
            "import ",
            "0x",
            "1e",
            ".",
            "170141183460469231731687303715884105727",
            "é",
        ]);
        prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn any_text_ends_without_a_panic(block in ".{0,100}") {
            let _ = run(&block);
        }

        #[test]
        fn any_mixture_of_python_s_pieces_ends_without_a_panic(block in pieces()) {
            let _ = run(&block);
        }

        #[test]
        fn arithmetic_on_any_integers_ends_without_a_panic(
            left in any::<i128>(),
            right in any::<i128>(),
            operator in prop::sample::select(vec!["+", "-", "*", "/", "//", "%", "**", "<<", ">>"]),
        ) {
            let _ = run(&format!("x = ({left}) {operator} ({right})"));
        }

        #[test]
        fn division_and_remainder_belong_together(
            left in -1000..1000_i32,
            right in prop_oneof![-20..0_i32, 1..20_i32],
        ) {
            let block = format!(
                "a, b = {left}, {right}; q = a // b; r = a % b; assert q * b + r == a and \
                 (r == 0 or (r < 0) == (b < 0)) and abs(r) < abs(b)"
            );
            prop_assert_eq!(run(&block).map(drop), Ok(()));
        }
    }
}
