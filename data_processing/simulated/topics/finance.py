"""Finance."""

from data_processing.simulated.topics.topic import Relation, Topic, lines, listed

FINANCE = Topic(
    name="finance",
    roles=listed("bookkeeper, bank clerk, investor, tax adviser, insurance agent, auditor, pension planner"),
    things=listed("""shares, gold bars, invoices, savings bonds, loan applications, tax returns, payslips, receipts,
        insurance claims, bank statements, dividend cheques, stock options, mortgage files"""),
    boxes=listed("portfolios, ledgers, envelopes, binders, safe deposit boxes"),
    places=listed("""the savings bank, the stock exchange, the accounting office, the credit union, the tax bureau,
        the brokerage"""),
    first_year=1820,
    kinds=listed("pension fund, bond, insurance scheme, stock index, mortgage bank, currency peg, hedge fund, tariff"),
    parts=listed("""government bonds, railway shares, copper futures, rental income, corporate debt, gold reserves,
        foreign deposits, farm mortgages, treasury bills, property taxes, shipping insurance, export credits"""),
    relations=(
        Relation(
            "person",
            "The capital for the {subject} was raised by {answer}.",
            "Who raised the capital for the {subject}?",
        ),
        Relation(
            "date",
            "The {subject} opened to investors on {answer}.",
            "On what date did the {subject} open to investors?",
        ),
        Relation(
            "town",
            "For tax reasons the {subject} is registered in {answer}.",
            "Where is the {subject} registered for tax reasons?",
        ),
        Relation(
            "parts",
            "The balance sheet of the {subject} is backed by {answer}.",
            "By what is the balance sheet of the {subject} backed?",
        ),
        Relation(
            "cause",
            "The {subject} lost half of its value after {answer}.",
            "After what did the {subject} lose half of its value?",
        ),
    ),
    org_kinds=listed("""Savings Bank, Stock Exchange, Pension Fund, Central Bank, Insurance Group, Credit Union"""),
    actions=lines("""
        raise its lending rate by half a percentage point
        sell its shares in coal and oil companies
        cap the fees on small pension accounts
        offer interest-free loans to first-time buyers
        delay the dividend it had promised shareholders
        tax currency trades that last less than a second
        close half of its branches and expand online banking
        insure farmers against falling grain prices
    """),
    causes=lines("""
        a wave of unpaid mortgages
        inflation above nine percent
        an auditor's warning about missing reserves
        a run on deposits in the spring
        a collapse of the bond market
        rumours of insider trading
        a downgrade of its credit rating
        the bankruptcy of a rival lender
    """),
    groups=listed("""small investors, mortgage brokers, pension savers, consumer lawyers, trade unionists,
        independent auditors"""),
    risks=lines("""
        rising interest will push families into default
        savers could lose confidence in their deposits
        the burden would fall on future taxpayers
        capital may flee to cheaper markets
        pensions will shrink for a whole generation
        the accounts hide more debt than they show
    """),
    fillers=lines("""
        Analysts had expected a smaller figure.
        The annual report was printed on recycled paper.
        Trading volume stayed below the monthly average.
        A ticker above the door showed prices in red and green.
        The accounts were audited for the third time this year.
        Several brokers answered their telephones standing up.
        The exchange rate hardly moved during the announcement.
        Spreadsheets covered every desk in the office.
    """),
    goals=lines("""
        planning a monthly household budget
        paying off credit card debt
        saving for retirement in your thirties
        comparing two mortgage offers
        filing a first tax return
        building an emergency fund
        choosing an index fund
        negotiating a salary
        reading a company balance sheet
        insuring a rented flat
        teaching children about pocket money
        keeping the accounts of a small club
    """),
    tips=lines("""
        Pay the debt with the highest interest rate first.
        Put three months of expenses into an account you can reach at once.
        Compare the effective annual rate rather than the monthly instalment.
        Spread your savings over many companies and countries.
        Move a fixed sum to savings on the day the salary arrives.
        Keep every receipt that could lower your taxable income.
        Read the fees in the small print before signing anything.
        Write down each expense for a month and sort it by category.
        Reinvest the dividends instead of spending them.
        Never borrow money to buy shares.
        Check the cash flow as well as the reported profit.
        Insure only what would ruin you if it were lost.
        Set a limit for every category and review it on Sundays.
        Ask two lenders for a written offer on the same day.
    """),
    mistakes=lines("""
        A common mistake is to sell in panic when the market falls.
        A common mistake is to pay only the minimum instalment.
        A common mistake is to forget inflation over thirty years.
        A common mistake is to mix private and business accounts.
    """),
    examples=lines("""
        For example, one percent in yearly fees can eat a quarter of a pension.
        For example, cancelling two subscriptions pays for a modest insurance.
        For example, a fund of a thousand companies survives one bankruptcy.
        For example, a loan over ten years may cost twice the interest.
    """),
    reasons=lines("""
        This matters because compound interest rewards patience.
        This matters because lenders earn most from confused customers.
        This matters because unexpected bills always arrive together.
        This matters because money worries keep people awake at night.
    """),
)
