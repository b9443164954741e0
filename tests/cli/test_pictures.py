from dgreid.cli import main as cli


def test_photographs_are_a_command_and_were_an_option_of_report(crops, capsys):
    for words in (["photographs"], ["report", "--photographs"]):
        assert cli.main(words) == 1
        assert "s0.json is missing: run `dgreid evaluate" in capsys.readouterr().err
        assert not (crops / "logs").exists()  # it is no stage
