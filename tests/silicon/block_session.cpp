#include "silicon/block_session.h"

#include <fmt/format.h>

#include <optional>

#include "silicon/block_generator.h"
#include "silicon/block_trial.h"
#include "silicon/deadline.h"

namespace mynah::silicon {
namespace {

class Session {
 public:
    Session(const Options& options, const std::vector<Form>& forms, Runner& host,
            std::vector<Guest>& guests)
        : options_(options), choice_(forms), trial_(host, guests) {}

    bool run() {
        const Deadline end(options_.seconds);
        if (options_.only) {
            one(*options_.only);
        } else {
            for (uint64_t number = 0; cases_ < options_.cases && !end.passed(); ++number)
                one(number);
        }
        fmt::print("seed {}: {} blocks with {} instructions, {} runs, {} of them faulting, {} "
                   "blocks without end, {} different\n",
                   *options_.seed, blocks_, instructions_, cases_, faulting_, endless_,
                   differing_);
        return differing_ == 0;
    }

 private:
    void one(uint64_t number) {
        generate_block(choice_, *options_.seed, number, block_);
        trial_.set_note(fmt::format("  again: {} --shrink\n", again(options_, "all", number)));
        ++blocks_;
        instructions_ += block_.steps();
        if (!trial({})) return;
        if (options_.dump) fmt::print("case {}\n{}", number, listing(trial_.program(), 0));
        if (!options_.faults) return;
        for (const Injection& injection : injections()) {
            if (!trial(injection)) return;
        }
    }

    // False if the block has served its purpose.
    bool trial(const Injection& injection) {
        if (show_crash(injection)) {
            ++differing_;
            return false;
        }
        BlockTrial::Outcome outcome = trial_.run(block_, injection);
        if (!outcome.ended) {
            ++endless_;
            return false;
        }
        ++cases_;
        if (outcome.faulted) ++faulting_;
        if (!outcome.difference) return true;
        ++differing_;
        if (shown_++ < options_.show) show(*outcome.difference);
        return false;
    }

    // Every page that the block was made to access, in every way.
    std::vector<Injection> injections() const {
        using Kind = Injection::Kind;
        std::vector<Injection> all;
        for (const uint64_t page : block_.pages) {
            for (const Kind kind : {Kind::kAbsent, Kind::kReadOnly, Kind::kSupervisor})
                all.push_back({.kind = kind, .page = page});
        }
        const uint64_t second = (block_.address & ~(kCodeBytes - 1)) + 0x1000;
        for (const Kind kind : {Kind::kAbsent, Kind::kNoExecute, Kind::kSupervisor})
            all.push_back({.kind = kind, .page = second});
        if (block_.modifies_itself) {
            for (const uint64_t page : {kWritableCodeAddress, kWritableCodeAddress + 0x1000})
                all.push_back({.kind = Kind::kReadOnly, .page = page});
        }
        return all;
    }

    void show(Disagreement& difference) {
        Block block = block_;
        if (options_.shrink) {
            shrink(block, [&](const Block& less) {
                Disagreement now = difference;
                if (!trial_.differs_again(less, now)) return false;
                difference = std::move(now);
                return true;
            });
        }
        if (!assemble(block, program_)) return;
        fmt::print("case {}: {}, {}{}\n", block_.number, difference.engine,
                   pace_name(difference.pace), injection_name(difference.injection));
        fmt::print("{}", listing(program_, difference.host.after.rip));
        fmt::print("  host {} at {:x}, {} {} at {:x}\n", ending_name(difference.host),
                   difference.host.after.rip, difference.engine, ending_name(difference.guest),
                   difference.guest.after.rip);
        constexpr int kPageFault = 14;
        if (difference.host.vector == kPageFault) {
            fmt::print("  the host's fault address {:x}\n", difference.host.fault_address);
        }
        for (const std::string& line : difference.lines) fmt::print("  {}\n", line);
        fmt::print("  again: {} --shrink\n", again(options_, difference.engine, block_.number));
        if (options_.only) show_start();
        std::fflush(stdout);
    }

    // Drops units from the end to the front, until none can go without `fails` becoming false.
    template <typename Fails>
    static void shrink(Block& block, Fails&& fails) {
        for (bool dropped = true; dropped;) {
            dropped = false;
            for (auto unit = static_cast<unsigned>(block.units.size()); unit-- > 0;) {
                const std::optional<Block> less = without_unit(block, unit);
                if (!less || !fails(*less)) continue;
                block = *less;
                dropped = true;
            }
        }
    }

    // A block that ends the process is looked into from outside.
    bool show_crash(const Injection& injection) {
        if (!options_.only || !options_.shrink || !trial_.crashes(block_, injection)) return false;
        Block block = block_;
        shrink(block, [&](const Block& less) { return trial_.crashes(less, injection); });
        if (assemble(block, program_)) {
            fmt::print("case {}: the process crashes{}\n{}", block_.number,
                       injection_name(injection), listing(program_, 0));
        }
        show_start();
        return true;
    }

    void show_start() const {
        fmt::print("  before: rflags {:x}", program_.before.rflags);
        for (unsigned i = 0; i < 16; ++i) fmt::print(" r{}={:x}", i, program_.before.gpr[i]);
        fmt::print("\n");
    }

    const Options& options_;
    const FormChoice choice_;
    BlockTrial trial_;
    Block block_;
    Program program_;
    uint64_t blocks_ = 0, instructions_ = 0, cases_ = 0, faulting_ = 0, endless_ = 0,
             differing_ = 0;
    unsigned shown_ = 0;
};

}  // namespace

bool compare_blocks(const Options& options, const std::vector<Form>& forms, Runner& host,
                    std::vector<Guest>& guests) {
    return Session(options, forms, host, guests).run();
}

}  // namespace mynah::silicon
