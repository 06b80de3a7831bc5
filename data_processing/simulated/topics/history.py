"""History."""

from data_processing.simulated.topics.topic import Relation, Topic, lines, listed

HISTORY = Topic(
    name="history",
    roles=listed(
        "archivist, museum curator, medieval scribe, royal treasurer, archaeologist, quartermaster, historian"
    ),
    things=listed("""bronze coins, clay tablets, parchment scrolls, cavalry horses, pottery shards, war medals,
        cannonballs, wax seals, castle keys, silver goblets, portraits, telegrams, muskets"""),
    boxes=listed("chests, wagons, vaults, saddlebags, cabinets"),
    places=listed("""the royal archive, the excavation site, the old fortress, the city museum, the abbey library,
        the imperial court"""),
    first_year=1150,
    kinds=listed("treaty, castle, rebellion, monastery, manuscript, dynasty, siege, city wall, royal charter"),
    parts=listed("""limestone blocks, oak beams, gilded leather, Latin verses, land taxes, grain tithes,
        peasant militias, cavalry regiments, mercenary archers, painted tiles, trade privileges, sworn oaths"""),
    relations=(
        Relation("person", "The {subject} was commissioned by {answer}.", "Who commissioned the {subject}?"),
        Relation(
            "date",
            "Chronicles date the beginning of the {subject} to {answer}.",
            "To what date do chronicles date the beginning of the {subject}?",
        ),
        Relation(
            "town",
            "Survivors carried the records of the {subject} to {answer}.",
            "Where did survivors carry the records of the {subject}?",
        ),
        Relation("parts", "The {subject} relied above all on {answer}.", "On what did the {subject} rely above all?"),
        Relation(
            "cause",
            "According to the monks, the {subject} came to an end through {answer}.",
            "Through what did the {subject} come to an end?",
        ),
    ),
    org_kinds=listed("""City Museum, National Archive, Heritage Trust, Abbey Library, Archaeological Society,
        Castle Foundation"""),
    actions=lines("""
        return two hundred looted bronzes to their country of origin
        open the private letters of the last queen to the public
        rebuild the medieval gate that was torn down after the war
        excavate a Roman harbour below the fish market
        move a royal coffin to a new chapel
        digitise every parish register from before the revolution
        rename the hall that honours a colonial governor
        restore a battlefield where two empires clashed
    """),
    causes=lines("""
        a forged royal decree
        a long famine and three lost harvests
        the sudden death of the crown prince
        a quarrel over the salt tax
        the discovery of a mass grave
        a petition signed by former soldiers
        the betrayal of a trusted general
        a plague carried by merchant ships
    """),
    groups=listed("""veterans' families, local historians, descendants of the exiles, heritage lawyers, parish priests,
        retired teachers"""),
    risks=lines("""
        the parchment will crumble once it is moved
        the nation would forget an inconvenient century
        treasure hunters may plunder the open trenches
        old grievances between the villages could flare up
        tourists will crowd out the quiet of the memorial
        the reconstruction would be pure invention
    """),
    fillers=lines("""
        A faded map of the old kingdom hung on the wall.
        Schoolchildren still learn a ballad about those years.
        The chapel bells were cast from melted cannon.
        Historians have argued over the sources for generations.
        A copy of the chronicle survives in a monastery abroad.
        The coat of arms above the door has lost its colours.
        Few eyewitness letters from the period remain.
        The archive closes early in winter because it has no heating.
    """),
    goals=lines("""
        researching a family tree
        reading an eighteenth century letter
        preparing a talk on the fall of an empire
        interviewing a war veteran
        dating an old photograph
        visiting the ruins of a Roman town
        comparing two accounts of one battle
        writing an essay about the industrial revolution
        organising a village history archive
        telling the story of a medieval queen
        handling fragile parchment
        building a timeline of a revolution
    """),
    tips=lines("""
        Compare at least two independent sources before accepting a claim.
        Ask who wrote the document and what the author wanted to achieve.
        Note the archive, the shelf mark and the page of every quotation.
        Place each event on a timeline together with its neighbours.
        Read the letters of ordinary people as well as those of kings.
        Check whether the calendar of the period differs from ours.
        Translate old units of money and land into modern terms.
        Handle originals with clean and dry hands on a soft support.
        Distinguish what witnesses saw from what they merely heard.
        Study the maps that were drawn at the time.
        Learn the handwriting of the century before opening the register.
        Treat memories told decades later with friendly caution.
        Look for voices that the victors left out of the chronicle.
        Photograph inscriptions in low light from the side.
    """),
    mistakes=lines("""
        A common mistake is to judge the past by present customs.
        A common mistake is to trust a legend because it is famous.
        A common mistake is to confuse rulers who share a name.
        A common mistake is to ignore who paid for the chronicle.
    """),
    examples=lines("""
        For example, a tax roll may contradict the boast of a bishop.
        For example, the uniform on a portrait often reveals the decade.
        For example, two generals described the same retreat as a victory.
        For example, a ship's log can fix the date of a letter.
    """),
    reasons=lines("""
        This matters because nations still argue about these events.
        This matters because a single false date misleads every later reader.
        This matters because forgotten people deserve to be remembered.
        This matters because archives burn and memories fade.
    """),
)
