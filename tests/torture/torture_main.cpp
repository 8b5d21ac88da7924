// mynah-torture: several processors that modify each other's code, exchange pages under each other,
// count, and interrupt each other, on one engine after the other.

#include <fmt/format.h>

#include <charconv>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string_view>

#include "guest/layout.h"
#include "torture_machine.h"

namespace mynah::torture {
namespace {

constexpr const char* kUsage =
    "mynah-torture [--engine NAME]... [--seconds S] [--vcpus N] [--seed N]\n"
    "Runs the torture guest and says whether all its checks held. --engine: interpreter, jit or\n"
    "jit_at_once (translates all that runs); all of them if none is named. Seconds are for each.\n";

struct NamedEngine {
    const char* name;
    EngineFactory make;
};

Result<std::unique_ptr<Engine>> make_usual_translator(GuestMemory& memory,
                                                      const CpuidPolicy& cpuid) {
    return make_translator(memory, cpuid);
}
Result<std::unique_ptr<Engine>> make_eager_translator(GuestMemory& memory,
                                                      const CpuidPolicy& cpuid) {
    TranslatorOptions options;
    options.hot_after = 0;
    options.brief_entries = 5;
    return make_translator(memory, cpuid, options);
}

// A new engine is a line here.
const std::vector<NamedEngine>& all_engines() {
    static const std::vector<NamedEngine> engines = {{"interpreter", make_interpreter},
                                                     {"jit", make_usual_translator},
                                                     {"jit_at_once", make_eager_translator}};
    return engines;
}

template <typename T>
bool parse(std::string_view text, T& value) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    return error == std::errc() && end == text.data() + text.size();
}

bool parse_options(int argc, char** argv, Options& options, std::vector<NamedEngine>& engines) {
    for (int i = 1; i + 1 < argc; i += 2) {
        const std::string_view name = argv[i], value = argv[i + 1];
        if (name == "--engine") {
            const size_t before = engines.size();
            for (const NamedEngine& engine : all_engines()) {
                if (value == engine.name) engines.push_back(engine);
            }
            if (engines.size() == before) return false;
        } else if (name == "--seconds") {
            if (!parse(value, options.seconds)) return false;
        } else if (name == "--vcpus") {
            if (!parse(value, options.processors)) return false;
        } else if (name == "--seed") {
            if (!parse(value, options.seed)) return false;
        } else {
            return false;
        }
    }
    if (engines.empty()) engines = all_engines();
    return argc % 2 == 1 && options.processors >= 1 && options.processors <= MOST_PROCESSORS;
}

std::vector<std::byte> read_image() {
    std::ifstream file(MYNAH_TORTURE_IMAGE, std::ios::binary);
    const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    const auto bytes = std::as_bytes(std::span(text));
    return {bytes.begin(), bytes.end()};
}

void print_counts(const Outcome& outcome) {
    static constexpr const char* kNames[] = {"patches",  "calls",    "exchanges",  "page uses",
                                             "counting", "ordering", "arithmetic", "others"};
    fmt::print("  {:.1f} million instructions, {} timer interrupts, {} answers to others, {} NMIs\n"
               " ",
               static_cast<double>(outcome.statistics.instructions) / 1e6,
               outcome.report.timer_interrupts, outcome.report.ipis, outcome.report.nmis);
    for (size_t i = 0; i < std::size(kNames); ++i)
        fmt::print(" {} {}", kNames[i], outcome.report.rounds[i]);
    fmt::print("\n");
}

bool run_one(const NamedEngine& engine, std::span<const std::byte> image, const Options& options) {
    fmt::print("{}: {} processors, {} s, seed {}\n", engine.name, options.processors,
               options.seconds, options.seed);
    std::fflush(stdout);
    auto machine = TortureMachine::create(engine.make, image, options);
    if (!machine) {
        fmt::print("{}\n", machine.error().message());
        return false;
    }
    const Outcome outcome = machine.value()->run();
    if (outcome.problem) {
        fmt::print("FAILED: {}\n", *outcome.problem);
        return false;
    }
    print_counts(outcome);
    return true;
}

int run(int argc, char** argv) {
    Options options;
    options.seed = std::random_device{}();
    std::vector<NamedEngine> engines;
    if (!parse_options(argc, argv, options, engines)) {
        std::fputs(kUsage, stderr);
        return 1;
    }
    const std::vector<std::byte> image = read_image();
    if (image.empty()) {
        fmt::print(stderr, "mynah-torture: {}: cannot be read\n", MYNAH_TORTURE_IMAGE);
        return 1;
    }
    bool good = true;
    for (const NamedEngine& engine : engines) good = run_one(engine, image, options) && good;
    return good ? 0 : 2;
}

}  // namespace
}  // namespace mynah::torture

int main(int argc, char** argv) { return mynah::torture::run(argc, argv); }
