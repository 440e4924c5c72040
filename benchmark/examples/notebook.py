"""In Python: a suite is changed and run, its numbers are data frames, and a figure is changed and saved."""

import metagap


def study(name, **options):
    suite = metagap.load_suite(name, {"training.iterations": 50}, algorithms=["maml", "scratch"], seeds=[0, 1])
    report = metagap.run(suite, **options)

    print(report.findings)
    average = report.gaps.query("gap == 'domain gap' and split == 'average' and statistic == 'mean'")
    print(average[["algorithm", "value", "low", "high"]])
    print(report.compare("maml", "scratch").scores[["split", "difference", "low", "high", "p"]])

    figure = report.figure("scores")
    figure.axes[0].set_title(f"{suite.title}, 50 iterations")
    figure.savefig("scores.png", dpi=200)
    report.write("page")
    return report


if __name__ == "__main__":
    study("quickstart")
