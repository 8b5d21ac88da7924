#include "silicon/instruction_session.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <map>

#include "silicon/compare.h"
#include "silicon/deadline.h"
#include "silicon/generator.h"
#include "silicon/host_runner.h"
#include "silicon/maker.h"

namespace mynah::silicon {
namespace {

std::string describe(const Case& test) {
    std::string code;
    for (unsigned i = 0; i < test.instruction.length(); ++i)
        code += fmt::format("{:02x} ", test.code[i]);
    return fmt::format("{}  [{}{}-bit]", disassemble(test.instruction, test.address()), code,
                       test.mode == CodeSize::k64 ? 64 : 32);
}

class Session {
 public:
    Session(const Options& options, const std::vector<Form>& forms, Runner& host,
            std::vector<Guest>& guests)
        : options_(options), forms_(forms), host_(host), guests_(guests) {}

    bool run() {
        const Deadline end(options_.seconds);
        if (options_.only) {
            one(*options_.only);
        } else {
            for (uint64_t number = 0; cases_ < options_.cases; ++number) {
                if ((number & 63) == 0 && end.passed()) break;
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
        host_.run(test_, on_host_);
        if (host_is_amd() && amd_went_its_own_way(test_.instruction, on_host_)) {
            ++not_made_;
            return;
        }
        ++cases_;
        covered_[number % forms_.size()] = true;
        Count& count = counts_[ZydisISASetGetString(test_.instruction.info.meta.isa_set)];
        ++count.cases;
        if (on_host_.vector >= 0) ++count.faults;
        const bool completed = on_host_.vector == Ending::kCompleted;
        const Subject subject{
            .mode = test_.mode,
            .last = &test_.instruction,
            .undefined_flags = completed ? undefined_flags(test_.instruction) : 0,
            .stepped = true};
        for (Guest& guest : guests_) {
            note_for_crash(fmt::format("the process crashed in {}\n  again: {}\n", guest.name,
                                       again(options_, guest.name, number)));
            guest.runner->run(test_, on_guest_);
            const auto lines = differences(subject, on_host_, on_guest_);
            if (lines.empty()) continue;
            ++count.differing;
            ++differing_;
            const uint64_t before = by_mnemonic_[mnemonic_of(form)]++;
            if (before < 3 && shown_ < options_.show) show(guest.name, lines);
        }
    }

    void show(const std::string& engine, const std::vector<std::string>& lines) {
        ++shown_;
        fmt::print("case {}: {}\n", test_.number, describe(test_));
        fmt::print("  host {}, {} {}\n", ending_name(on_host_), engine, ending_name(on_guest_));
        for (const std::string& line : lines) fmt::print("  {}\n", line);
        fmt::print("  again: {}\n", again(options_, engine, test_.number));
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
    const std::vector<Form>& forms_;
    Runner& host_;
    std::vector<Guest>& guests_;
    Case test_;
    Ending on_host_, on_guest_;
    std::map<std::string, Count> counts_;
    std::map<std::string, uint64_t> by_mnemonic_;
    std::vector<bool> covered_ = std::vector<bool>(forms_.size());
    uint64_t cases_ = 0, not_made_ = 0, differing_ = 0;
    unsigned shown_ = 0;
};

}  // namespace

std::string mnemonic_of(const Form& form) { return ZydisMnemonicGetString(form.mnemonic); }

bool compare_instructions(const Options& options, const std::vector<Form>& forms, Runner& host,
                          std::vector<Guest>& guests) {
    return Session(options, forms, host, guests).run();
}

}  // namespace mynah::silicon
