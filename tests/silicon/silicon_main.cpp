// mynah-silicon: compares engines with the host's own processor, instruction by instruction, block
// by block, and with faults injected into blocks.

#include <fmt/format.h>

#include <charconv>
#include <cstdio>
#include <map>
#include <random>
#include <string_view>

#include "silicon/block_session.h"
#include "silicon/guest_runner.h"
#include "silicon/host_runner.h"
#include "silicon/instruction_session.h"

namespace mynah::silicon {
namespace {

constexpr const char* kUsage =
    "mynah-silicon [--blocks | --faults] [--seed N] [--seconds S] [--cases N] [--case N]\n"
    "              [--engine NAME]... [--cpu MODEL] [--filter MNEMONIC] [--show N] [--shrink]\n"
    "              [--dump] [--list]\n"
    "Runs random code on the host's processor and on engines and compares what it does: single\n"
    "instructions, blocks of them, or blocks with pages taken away under them.\n"
    "--engine interpreter | jit | jit_warm | all (the default); may be repeated.\n"
    "--shrink drops instructions from a block that differs while it still differs.\n"
    "--dump prints blocks that do not differ, too.\n"
    "--list prints the instruction forms and what is excluded, with the reason.\n";

struct NamedEngine {
    const char* name;
    EngineFactory make;
};

// A new engine is a line here.
const std::vector<NamedEngine>& all_engines() {
    static const std::vector<NamedEngine> engines = {
        {"interpreter", make_interpreter},
        // Translated the first time.
        {"jit", [](GuestMemory& memory, const CpuidPolicy& cpuid) {
             return make_translator(memory, cpuid, {.hot_after = 0, .brief_entries = 0});
         }},
        // Loops of blocks become hot in one of their rounds.
        {"jit_warm", [](GuestMemory& memory, const CpuidPolicy& cpuid) {
             return make_translator(memory, cpuid, {.hot_after = 2, .brief_entries = 2});
         }}};
    return engines;
}

template <typename T>
bool parse(std::string_view text, T& value) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    return error == std::errc() && end == text.data() + text.size();
}

bool parse_flag(std::string_view name, Options& options) {
    if (name == "--list") options.list = true;
    else if (name == "--blocks") options.blocks = true;
    else if (name == "--faults") options.faults = true;
    else if (name == "--shrink") options.shrink = true;
    else if (name == "--dump") options.dump = true;
    else return false;
    return true;
}

bool parse_options(int argc, char** argv, Options& options) {
    for (int i = 1; i < argc; ++i) {
        const std::string_view name = argv[i];
        if (parse_flag(name, options)) continue;
        if (i + 1 >= argc) return false;
        const std::string_view value = argv[++i];
        uint64_t number = 0;
        if (name == "--filter") options.filter = value;
        else if (name == "--cpu") options.cpu = value;
        else if (name == "--engine") options.engines.emplace_back(value);
        else if (name == "--seconds") { if (!parse(value, options.seconds)) return false; }
        else if (!parse(value, number)) return false;
        else if (name == "--seed") options.seed = number;
        else if (name == "--cases") options.cases = number;
        else if (name == "--case") options.only = number;
        else if (name == "--show") options.show = static_cast<unsigned>(number);
        else return false;
    }
    return !(options.blocks && options.faults);
}

// The engines that were asked for; an error if one is unknown.
Result<std::vector<NamedEngine>> wanted_engines(const Options& options) {
    std::vector<NamedEngine> found;
    for (const std::string& name : options.engines) {
        const size_t before = found.size();
        for (const NamedEngine& engine : all_engines()) {
            if (name == "all" || name == engine.name) found.push_back(engine);
        }
        if (found.size() == before) {
            return Error(fmt::format("--engine {}: there is no such engine", name));
        }
    }
    return found.empty() ? all_engines() : found;
}

Result<std::vector<Guest>> make_guests(const Options& options, const CpuidPolicy& policy) {
    std::vector<Guest> guests;
    for (const NamedEngine& engine : TRY(wanted_engines(options))) {
        guests.push_back({engine.name, TRY(make_guest_runner(engine.make, policy))});
    }
    return guests;
}

int list_forms(const std::vector<Form>& forms) {
    std::map<std::string, unsigned> count;
    std::map<std::string, const char*> excluded;
    for (const Form& form : forms) {
        if (const char* reason = exclusion_reason(form)) {
            excluded[mnemonic_of(form)] = reason;
        } else {
            ++count[mnemonic_of(form)];
        }
    }
    for (const auto& [name, number] : count) fmt::print("{} {}\n", name, number);
    for (const auto& [name, reason] : excluded) fmt::print("not compared: {}: {}\n", name, reason);
    return 0;
}

int fail(const Error& error) {
    fmt::print(stderr, "mynah-silicon: {}\n", error.message());
    return 1;
}

int run(int argc, char** argv) {
    Options options;
    if (!parse_options(argc, argv, options)) {
        std::fputs(kUsage, stderr);
        return 1;
    }
    if (!options.seed) options.seed = std::random_device{}();
    auto policy = CpuidPolicy::create(options.cpu, CpuTopology{}, 1'000'000'000);
    if (!policy) return fail(policy.error());
    const std::vector<Form> forms = enumerate_forms(policy.value());
    if (options.list) return list_forms(forms);
    fmt::print("seed {}\n", *options.seed);
    std::fflush(stdout);
    // The host's signal handlers first: the engines' chain to them.
    const std::unique_ptr<Runner> host = make_host_runner();
    auto guests = make_guests(options, policy.value());
    if (!guests) return fail(guests.error());
    const bool same = options.blocks || options.faults
                          ? compare_blocks(options, forms, *host, guests.value())
                          : compare_instructions(options, forms, *host, guests.value());
    return same ? 0 : 2;
}

}  // namespace
}  // namespace mynah::silicon

int main(int argc, char** argv) { return mynah::silicon::run(argc, argv); }
