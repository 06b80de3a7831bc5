"""Sport."""

from data_processing.simulated.topics.topic import Relation, Topic, lines, listed

SPORT = Topic(
    name="sport",
    roles=listed(
        "football coach, swimming teacher, marathon organiser, referee, tennis trainer, ski guide, kit manager"
    ),
    things=listed("""tennis balls, running shoes, season tickets, water bottles, medals for runners, jerseys, footballs,
        race bibs, hockey sticks, climbing ropes, swim caps, relay batons, surfboards"""),
    boxes=listed("kit bags, lockers, duffel bags, nets, team vans"),
    places=listed("""the athletics club, the stadium, the swimming pool, the mountain gym, the tennis court,
        the regatta dock"""),
    first_year=1880,
    kinds=listed(
        "marathon, football league, regatta, cup final, velodrome, relay team, ski jump, boxing club, stadium"
    ),
    parts=listed("""carbon paddles, uphill sprints, youth players, wooden hurdles, night training, clay courts,
        volunteer referees, junior swimmers, altitude camps, penalty shootouts, banked curves, veteran goalkeepers"""),
    relations=(
        Relation(
            "person",
            "The {subject} was won in its first season by {answer}.",
            "Who won the {subject} in its first season?",
        ),
        Relation(
            "date",
            "The opening whistle of the {subject} was blown on {answer}.",
            "On what date was the opening whistle of the {subject} blown?",
        ),
        Relation(
            "town",
            "Most supporters of the {subject} travel from {answer}.",
            "From where do most supporters of the {subject} travel?",
        ),
        Relation("parts", "The {subject} owes its fame to {answer}.", "To what does the {subject} owe its fame?"),
        Relation(
            "cause",
            "One season of the {subject} had to be cancelled due to {answer}.",
            "Due to what was one season of the {subject} cancelled?",
        ),
    ),
    org_kinds=listed(
        """Football Club, Athletics Federation, Rowing Club, Cycling Union, Olympic Committee, Ski Association"""
    ),
    actions=lines("""
        replace its grass pitch with artificial turf
        admit women to the championship for the first time
        hold the final match without spectators
        ban two sprinters who failed a doping test
        train coaches in every secondary school
        shorten the cycling tour to eleven stages
        sell its striker and buy three young defenders
        build a roof over the open-air swimming stadium
    """),
    causes=lines("""
        a brawl between rival fans
        a string of knee injuries
        a humiliating defeat in the semi-final
        a doping scandal in the relay team
        a storm that flooded the pitch
        the retirement of its best striker
        a broken scoreboard and a false start
        a strike of the referees
    """),
    groups=listed("""season ticket holders, junior athletes, retired champions, sports doctors, team captains,
        stadium stewards"""),
    risks=lines("""
        young players will burn out before they turn twenty
        the pitch could cause more ankle injuries
        fans may stay away from the stadium
        amateur clubs would lose their training hours
        the team cannot defend its title
        records set this season will not be recognised
    """),
    fillers=lines("""
        A brass band played during the half-time break.
        Supporters waved scarves in the colours of the club.
        The trophy cabinet stands next to the changing room.
        Ticket queues stretched around the block.
        The coach chewed gum throughout the press conference.
        A junior team warmed up on the neighbouring field.
        The commentator lost his voice before the final whistle.
        Rain had made the running track slippery.
    """),
    goals=lines("""
        training for a first marathon
        improving a tennis serve
        recovering after a football match
        learning to swim front crawl
        coaching an under-ten team
        preventing running injuries
        preparing for a mountain bike race
        staying motivated at the gym
        choosing climbing shoes
        pacing a rowing sprint
        stretching before a ski tour
        organising a school sports day
    """),
    tips=lines("""
        Increase the weekly distance by no more than ten percent.
        Warm up with light jogging and loose arm swings.
        Sleep eight hours before a hard training session.
        Drink a glass of water every twenty minutes of exercise.
        Film your technique and watch it in slow motion.
        Run the first half of the race slower than the second.
        Strengthen the hips and ankles twice a week.
        Take one full rest day after each competition.
        Praise effort and fair play more than goals.
        Replace worn shoes after eight hundred kilometres.
        Breathe out steadily while your face is under water.
        Set a small target for every single practice.
        Keep your eyes on the ball until it touches the racket.
        Eat a light meal two hours before the start.
    """),
    mistakes=lines("""
        A common mistake is to sprint away at the starting gun.
        A common mistake is to train through a painful knee.
        A common mistake is to skip the cool-down after a match.
        A common mistake is to copy the schedule of a professional.
    """),
    examples=lines("""
        For example, four relaxed runs a week beat one heroic effort.
        For example, a simple relay keeps twenty children moving.
        For example, a metronome helps rowers to hold their stroke rate.
        For example, serving at half speed teaches the toss.
    """),
    reasons=lines("""
        This matters because most injuries come from doing too much too soon.
        This matters because confidence wins close matches.
        This matters because a tired body learns bad habits.
        This matters because sport should still be fun next year.
    """),
)
