from dgreid.miniature.render import Shot, World
from dgreid.miniature.sheet import contact_sheet


def test_rows_are_domains_and_identities_stand_together():
    sheet = contact_sheet(("here", "there"), people=2, cameras=3, seed=1)
    assert sheet.shape == (2 * 130, 2 * (3 * 66 + 6), 3)
    assert (sheet[:128, :64] == World("here", 1).draw(Shot(1, 0)).pixels).all()
    assert (sheet[130:258, 204 + 66 : 204 + 130] == World("there", 1).draw(Shot(2, 1)).pixels).all()
    assert (sheet[:, 198:204] == 255).all()
