"""Cooking."""

from data_processing.simulated.topics.topic import Relation, Topic, lines, listed

COOKING = Topic(
    name="cooking",
    roles=listed("baker, pastry chef, home cook, caterer, cheesemonger, street food vendor, sous-chef"),
    things=listed("""sourdough loaves, cinnamon rolls, dumplings, lemon tarts, jars of jam, meatballs, pancakes,
        cheese wheels, spring rolls, tomatoes, blueberry muffins, ravioli, eggs"""),
    boxes=listed("baskets, baking trays, cartons, hampers, cooling racks"),
    places=listed("""the corner bakery, the restaurant kitchen, the farmers' market, the food truck, the village inn,
        the cooking school"""),
    first_year=1780,
    kinds=listed("stew, flatbread, chutney, pudding, broth, layer cake, curry, sausage, noodle soup"),
    parts=listed("""smoked paprika, toasted almonds, goat cheese, pickled lemons, brown butter, wild garlic,
        roasted chestnuts, fish sauce, candied ginger, red lentils, fennel seeds, dark molasses"""),
    relations=(
        Relation("person", "The recipe for the {subject} was invented by {answer}.", "Who invented the {subject}?"),
        Relation(
            "date",
            "The {subject} was served to paying guests for the first time on {answer}.",
            "On what date was the {subject} first served to paying guests?",
        ),
        Relation(
            "town",
            "Cooks say that the best {subject} is still eaten in {answer}.",
            "Where is the best {subject} eaten?",
        ),
        Relation(
            "parts",
            "What gives the {subject} its flavour is a spoonful of {answer}.",
            "What gives the {subject} its flavour?",
        ),
        Relation(
            "cause",
            "The {subject} vanished from menus because of {answer}.",
            "Because of what did the {subject} vanish from menus?",
        ),
    ),
    org_kinds=listed("""Bakers' Guild, Cookery School, Farmers' Market, Vintners' Union, Dairy Cooperative,
        Restaurant Association"""),
    actions=lines("""
        serve free breakfast to every primary school
        ban plastic wrapping from its vegetable stalls
        teach refugees to cook for public canteens
        turn stale bread into a craft beer
        award a prize for the best grandmother's recipe
        protect the name of a local blue cheese
        open a community kitchen in a disused station
        halve the sugar in all its cakes and pastries
    """),
    causes=lines("""
        a shortage of durum wheat
        a bout of food poisoning at a wedding
        the rising price of butter
        a wet summer that spoiled the grapes
        a complaint about hidden allergens
        a sudden fashion for raw vegetables
        a broken oven in the main kitchen
        an import ban on saffron
    """),
    groups=listed("""pastry chefs, hungry pensioners, restaurant owners, dairy farmers, school cooks, food critics"""),
    risks=lines("""
        small bakeries cannot afford the new flour
        the soup will lose its traditional taste
        good vegetables could end up in the bin
        the kitchen would need twice as many cooks
        customers may go back to frozen pizza
        the cheese will no longer ripen properly
    """),
    fillers=lines("""
        The smell of fried onions drifted across the square.
        An apron with a flour stain hung behind the counter.
        Guests were offered a slice of plum cake while they waited.
        The menu was written in chalk on a black board.
        Regulars swear by a pinch of nutmeg.
        Copper pans of every size lined the wall.
        The kettle whistled through most of the conversation.
        Leftovers were packed into small paper boxes.
    """),
    goals=lines("""
        baking sourdough bread
        cooking rice without a rice cooker
        making a vegetarian lasagne
        seasoning a cast iron pan
        planning a dinner for eight guests
        preserving summer fruit as jam
        roasting a chicken with crisp skin
        folding dumplings by hand
        rescuing a sauce that has curdled
        packing a lunch box for school
        making fresh pasta dough
        reducing waste in a small kitchen
    """),
    tips=lines("""
        Weigh the flour instead of measuring it with a cup.
        Taste the dish after every step and adjust the salt at the end.
        Heat the pan well before you add the oil.
        Let the dough rest under a damp towel for an hour.
        Chop all vegetables before you light the stove.
        Save a ladle of the starchy cooking water for the sauce.
        Toast the spices in a dry pan until they smell sweet.
        Rest the roast for ten minutes before carving it.
        Add a squeeze of lemon to wake up a dull soup.
        Keep the butter cold until the very last moment.
        Use a sharp knife and a board that does not slip.
        Simmer the stock gently and skim off the foam.
        Buy fruit in season and freeze what you cannot eat.
        Line the tin with baking paper so that the cake comes out whole.
    """),
    mistakes=lines("""
        A common mistake is to crowd the pan with wet mushrooms.
        A common mistake is to open the oven door too early.
        A common mistake is to knead the pastry until it turns tough.
        A common mistake is to pour hot milk onto raw eggs at once.
    """),
    examples=lines("""
        For example, a handful of stale bread thickens a tomato soup.
        For example, a spoon of yoghurt calms a fiery curry.
        For example, carrot peel and onion skin make a golden broth.
        For example, a pinch of sugar balances sour cherries.
    """),
    reasons=lines("""
        This matters because heat and time decide the texture of every dish.
        This matters because guests remember how the food tasted.
        This matters because good ingredients are too precious to spoil.
        This matters because a calm cook makes a better supper.
    """),
)
