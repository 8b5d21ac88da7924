// mynah-silicon: compares an engine with the host's own processor, instruction by instruction.

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <map>
#include <optional>
#include <random>
#include <string_view>

#include "silicon/compare.h"
#include "silicon/generator.h"
#include "silicon/guest_runner.h"
#include "silicon/host_runner.h"

namespace mynah::silicon {
namespace {

struct Options {
    std::optional<uint64_t> seed;
    double seconds = 10;
    uint64_t cases = ~uint64_t{0};
    std::optional<uint64_t> only;  // one case by its number
    std::string filter;            // part of the mnemonic
    std::string cpu = "max";
    std::string engine = "interpreter";
    unsigned show = 20;
    bool list = false;
};

constexpr const char* kUsage =
    "mynah-silicon [--seed N] [--seconds S] [--cases N] [--filter MNEMONIC] [--case N]\n"
    "              [--cpu MODEL] [--engine interpreter] [--show N] [--list]\n"
    "Runs random instructions on the host's processor and on an engine and compares what they do.\n"
    "--list prints the instruction forms and what is excluded, with the reason.\n";

template <typename T>
bool parse(std::string_view text, T& value) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    return error == std::errc() && end == text.data() + text.size();
}

bool parse_options(int argc, char** argv, Options& options) {
    for (int i = 1; i < argc; ++i) {
        const std::string_view name = argv[i];
        if (name == "--list") {
            options.list = true;
            continue;
        }
        if (i + 1 >= argc) return false;
        const std::string_view value = argv[++i];
        uint64_t number = 0;
        if (name == "--filter") options.filter = value;
        else if (name == "--cpu") options.cpu = value;
        else if (name == "--engine") options.engine = value;
        else if (name == "--seconds") { if (!parse(value, options.seconds)) return false; }
        else if (!parse(value, number)) return false;
        else if (name == "--seed") options.seed = number;
        else if (name == "--cases") options.cases = number;
        else if (name == "--case") options.only = number;
        else if (name == "--show") options.show = static_cast<unsigned>(number);
        else return false;
    }
    return true;
}

std::optional<EngineFactory> find_engine(const std::string& name) {
    if (name == "interpreter") return EngineFactory(make_interpreter);
    return std::nullopt;
}

std::string mnemonic_of(const Form& form) { return ZydisMnemonicGetString(form.mnemonic); }

std::string describe(const Case& test) {
    std::string code;
    for (unsigned i = 0; i < test.instruction.length(); ++i)
        code += fmt::format("{:02x} ", test.code[i]);
    return fmt::format("{}  [{}{}-bit]", disassemble(test.instruction, test.address()), code,
                       test.mode == CodeSize::k64 ? 64 : 32);
}

class Session {
 public:
    Session(const Options& options, std::vector<Form> forms, std::unique_ptr<Runner> host,
            std::unique_ptr<Runner> guest)
        : options_(options),
          forms_(std::move(forms)),
          host_(std::move(host)),
          guest_(std::move(guest)) {}

    bool run() {
        const auto end = std::chrono::steady_clock::now() +
                         std::chrono::duration_cast<std::chrono::steady_clock::duration>(
                             std::chrono::duration<double>(options_.seconds));
        if (options_.only) {
            one(*options_.only);
        } else {
            for (uint64_t number = 0; cases_ < options_.cases; ++number) {
                if ((number & 63) == 0 && std::chrono::steady_clock::now() > end) break;
                one(number);
            }
        }
        report();
        return differing_ == 0;
    }

 private:
    struct Count {
        uint64_t cases = 0, faults = 0, differing = 0;
    };

    // Case `number` is of form number modulo the number of forms, whatever the filter.
    void one(uint64_t number) {
        const Form& form = forms_[number % forms_.size()];
        if (exclusion_reason(form) != nullptr) return;
        if (!options_.filter.empty() &&
            mnemonic_of(form).find(options_.filter) == std::string::npos)
            return;
        if (!generate(form, *options_.seed, number, test_)) {
            ++not_made_;
            return;
        }
        ++cases_;
        covered_[number % forms_.size()] = true;
        host_->run(test_, on_host_);
        guest_->run(test_, on_guest_);
        Count& count = counts_[ZydisISASetGetString(test_.instruction.info.meta.isa_set)];
        ++count.cases;
        if (on_host_.vector >= 0) ++count.faults;
        const auto lines = differences(test_, on_host_, on_guest_);
        if (lines.empty()) return;
        ++count.differing;
        ++differing_;
        const uint64_t before = by_mnemonic_[mnemonic_of(form)]++;
        if (before < 3 && shown_ < options_.show) show(lines);
    }

    void show(const std::vector<std::string>& lines) {
        ++shown_;
        fmt::print("case {}: {}\n", test_.number, describe(test_));
        fmt::print("  host {}, guest {}\n", ending(on_host_), ending(on_guest_));
        for (const std::string& line : lines) fmt::print("  {}\n", line);
        fmt::print("  again: mynah-silicon --seed {} --case {} --cpu {} --engine {}\n",
                   *options_.seed, test_.number, options_.cpu, options_.engine);
        if (options_.only) show_start();
    }

    void show_start() {
        fmt::print("  before: rflags {:x} mxcsr {:x}", test_.before.rflags,
                   load_word<uint32_t>(kMxcsrOffset));
        for (unsigned i = 0; i < 16; ++i) fmt::print(" r{}={:x}", i, test_.before.gpr[i]);
        fmt::print("\n  fcw {:x} fsw {:x} tags {:x}\n", load_word<uint16_t>(0),
                   load_word<uint16_t>(2), load_word<uint8_t>(4));
        for (unsigned i = 0; i < 8; ++i) {
            fmt::print("  st{} {:04x} {:016x}\n", i, load_word<uint16_t>(40 + 16 * i),
                       load_word<uint64_t>(32 + 16 * i));
        }
        for (unsigned i = 0; i < 16; ++i) {
            fmt::print("  ymm{} {:016x}{:016x} {:016x}{:016x}\n", i,
                       load_word<uint64_t>(kAvxOffset + 16 * i + 8),
                       load_word<uint64_t>(kAvxOffset + 16 * i),
                       load_word<uint64_t>(kXmmOffset + 16 * i + 8),
                       load_word<uint64_t>(kXmmOffset + 16 * i));
        }
    }
    template <typename T>
    T load_word(unsigned offset) const {
        T value;
        std::memcpy(&value, test_.before.xsave.data() + offset, sizeof value);
        return value;
    }

    static std::string ending(const Ending& e) {
        if (e.vector == Ending::kCompleted) return "completed";
        if (e.vector == Ending::kLost) return "lost";
        return fmt::format("raised exception {}", e.vector);
    }

    void report() const {
        fmt::print("{:<20} {:>10} {:>10} {:>10}\n", "instruction set", "cases", "faulting",
                   "different");
        for (const auto& [name, count] : counts_) {
            fmt::print("{:<20} {:>10} {:>10} {:>10}\n", name, count.cases, count.faults,
                       count.differing);
        }
        if (!by_mnemonic_.empty()) {
            fmt::print("differing:");
            for (const auto& [name, count] : by_mnemonic_) fmt::print(" {}:{}", name, count);
            fmt::print("\n");
        }
        const auto covered = std::count(covered_.begin(), covered_.end(), true);
        fmt::print("seed {}: {} of {} forms, {} cases ({} attempts made none), {} different\n",
                   *options_.seed, covered, forms_.size(), cases_, not_made_, differing_);
    }

    const Options& options_;
    const std::vector<Form> forms_;
    const std::unique_ptr<Runner> host_, guest_;
    Case test_;
    Ending on_host_, on_guest_;
    std::map<std::string, Count> counts_;
    std::map<std::string, uint64_t> by_mnemonic_;
    std::vector<bool> covered_ = std::vector<bool>(forms_.size());
    uint64_t cases_ = 0, not_made_ = 0, differing_ = 0;
    unsigned shown_ = 0;
};

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

int run(int argc, char** argv) {
    Options options;
    if (!parse_options(argc, argv, options)) {
        std::fputs(kUsage, stderr);
        return 1;
    }
    if (!options.seed) options.seed = std::random_device{}();
    const auto factory = find_engine(options.engine);
    if (!factory) {
        fmt::print(stderr, "mynah-silicon: --engine {}: expected interpreter\n", options.engine);
        return 1;
    }
    auto policy = CpuidPolicy::create(options.cpu, CpuTopology{}, 1'000'000'000);
    if (!policy) {
        fmt::print(stderr, "mynah-silicon: {}\n", policy.error().message());
        return 1;
    }
    std::vector<Form> forms = enumerate_forms(policy.value());
    if (options.list) return list_forms(forms);
    fmt::print("seed {}\n", *options.seed);
    std::fflush(stdout);
    // The host's signal handlers first: the engine's chains to them.
    std::unique_ptr<Runner> host = make_host_runner();
    auto guest = make_guest_runner(*factory, policy.value());
    if (!guest) {
        fmt::print(stderr, "mynah-silicon: {}\n", guest.error().message());
        return 1;
    }
    Session session(options, std::move(forms), std::move(host), guest.take_value());
    return session.run() ? 0 : 2;
}

}  // namespace
}  // namespace mynah::silicon

int main(int argc, char** argv) { return mynah::silicon::run(argc, argv); }
