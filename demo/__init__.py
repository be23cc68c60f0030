"""青禾县: the fictional county that a newcomer meets first.

Everything below this folder is invented by the authors of this project: 青禾县, 云澜市 and 东川省 do not exist, no
document, number, amount, address or telephone (0999-555XXXX) is real, and no person is named. National laws and
documents are cited only by title and number, as a county's text would. Nothing here may be relied on as policy.
"""
