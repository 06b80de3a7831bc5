"""Science."""

from data_processing.simulated.topics.topic import Relation, Topic, lines, listed

SCIENCE = Topic(
    name="science",
    roles=listed("chemist, botanist, astronomer, lab assistant, geologist, marine biologist, physicist"),
    things=listed("""beakers, test tubes, soil samples, microscope slides, seedlings, fossils, magnets, lenses,
        petri dishes, water samples, moth specimens, sensor chips, crystal samples"""),
    boxes=listed("racks, crates, trays, drawers, sample cases"),
    places=listed("""the university laboratory, the observatory, the field station, the research greenhouse,
        the polar base, the natural history museum"""),
    first_year=1850,
    kinds=listed("comet, enzyme, telescope, glacier, alloy, coral reef, asteroid, bacterium, particle detector"),
    parts=listed("""frozen methane, iron dust, silicate grains, copper ions, chalk sediment, nickel crystals,
        amino acid chains, liquid argon, basalt gravel, water vapour, carbon fibres, volcanic glass"""),
    relations=(
        Relation("person", "The {subject} was first described by {answer}.", "Who first described the {subject}?"),
        Relation(
            "date",
            "The {subject} was measured for the first time on {answer}.",
            "On what date was the {subject} measured for the first time?",
        ),
        Relation(
            "town",
            "Reference samples of the {subject} are stored in {answer}.",
            "Where are reference samples of the {subject} stored?",
        ),
        Relation(
            "parts",
            "Under the spectrometer the {subject} turned out to contain {answer}.",
            "What did the {subject} turn out to contain?",
        ),
        Relation(
            "cause",
            "Experiments on the {subject} were interrupted by {answer}.",
            "What interrupted experiments on the {subject}?",
        ),
    ),
    org_kinds=listed("""Observatory, Research Institute, Marine Laboratory, Geological Survey, Physics Centre,
        Botanical Institute"""),
    actions=lines("""
        build a radio telescope on the northern ridge
        send a robotic probe beneath the ice shelf
        sequence the genome of every local bat species
        drill a four kilometre core through the sea bed
        publish its full archive of climate measurements
        test a vaccine against a fungus that kills frogs
        map magnetic storms with a fleet of small satellites
        grow coral in tanks to restore a damaged reef
    """),
    causes=lines("""
        a series of failed sensors
        an unexpected burst of gamma rays
        a sharp rise in sea temperature
        a landslide near the field station
        the discovery of a contaminated sample
        a dispute over laboratory safety
        a decade of shrinking insect counts
        a leak in the cooling system
    """),
    groups=listed("""amateur astronomers, conservation biologists, laboratory technicians, coastal residents,
        doctoral students, climate researchers"""),
    risks=lines("""
        bright lights will ruin the night sky
        the drilling could disturb nesting seals
        the data would be useless without older records
        rare species may be lost before the study ends
        smaller laboratories will lose their funding
        the instruments cannot survive another winter
    """),
    fillers=lines("""
        The laboratory smelled faintly of ozone and coffee.
        Several instruments had been borrowed from a partner university.
        Journals in the field have followed the subject for years.
        Graduate students took turns reading the thermometers.
        A model of a double helix hung above the entrance.
        The samples were labelled twice to avoid confusion.
        Peer reviewers had asked for more repetitions.
        The team shared its raw measurements online.
    """),
    goals=lines("""
        setting up a home weather station
        growing crystals from salt water
        observing the moons of Jupiter
        keeping a laboratory notebook
        preparing a poster for a science fair
        identifying wild mushrooms by their spores
        building a simple electric motor
        measuring the acidity of rain
        photographing a lunar eclipse
        testing a hypothesis about plant growth
        caring for a classroom ant colony
        explaining photosynthesis with an experiment
    """),
    tips=lines("""
        Change one variable at a time and hold every other condition constant.
        Repeat each measurement at least five times before trusting the average.
        Calibrate the instrument against a known standard every morning.
        Write down the temperature and humidity beside each reading.
        Keep a control sample that receives no treatment at all.
        Label every jar with the date and the concentration.
        Estimate the error of your instrument and report it with the result.
        Wear goggles and gloves whenever acids or glass are involved.
        State the hypothesis before looking at any data.
        Draw what you see through the lens instead of what you expect.
        Store the samples in a dark and dry cupboard.
        Ask somebody else to repeat the experiment without your help.
        Plot the raw points before fitting any curve through them.
        Let the equipment warm up for twenty minutes before the first reading.
    """),
    mistakes=lines("""
        A common mistake is to throw away readings that look odd.
        A common mistake is to confuse correlation with a physical cause.
        A common mistake is to forget the control sample.
        A common mistake is to read the scale from an angle.
    """),
    examples=lines("""
        For example, two identical pots of beans can stand in light and in shade.
        For example, a cup of red cabbage juice turns pink in acid rain.
        For example, a smartphone held to the eyepiece records the craters.
        For example, a magnet, a battery and a coil are enough for a first trial.
    """),
    reasons=lines("""
        This matters because a result that nobody can repeat proves nothing.
        This matters because small errors grow with every later calculation.
        This matters because careful records reveal patterns years later.
        This matters because nature does not care what we hope to find.
    """),
)
