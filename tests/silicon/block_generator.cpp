#include "silicon/block_generator.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/bits.h"
#include "cpu/cpu_state.h"
#include "silicon/block_branches.h"
#include "silicon/block_fields.h"
#include "silicon/block_instructions.h"
#include "silicon/block_patches.h"
#include "silicon/generator.h"
#include "silicon/start_state.h"
#include "spec/x86/control_registers.h"

namespace mynah::silicon {
namespace {

namespace rflags = x86::rflags;

class BlockGenerator {
 public:
    BlockGenerator(const FormChoice& choice, Random& random, Block& out)
        : choice_(choice), random_(random), out_(out) {}

    void run() {
        shape();
        registers();
        pin_registers();
        // Flags that the manual leaves undefined are either never looked at, or defined at once.
        static constexpr uint64_t kLoose[] = {0, rflags::kAf, rflags::kAf | rflags::kOf};
        plan_.loose_flags = kLoose[random_.below(3)];
        plan_.surroundings.gentle = !random_.one_in(6);
        main_and_functions();
        store_unaligned(out_.scratch.data() + (kFuelSlot - kScratchAddress),
                        uint64_t{2 + random_.below(12)});
        std::sort(out_.pages.begin(), out_.pages.end());
        out_.pages.erase(std::unique(out_.pages.begin(), out_.pages.end()), out_.pages.end());
    }

 private:
    bool code64() const { return out_.mode == CodeSize::k64; }

    void shape() {
        out_.mode = random_.one_in(5) ? CodeSize::k32 : CodeSize::k64;
        // Anywhere, so that now and then an instruction crosses into the next page.
        out_.address = kCodeAddress + 0x100 + random_.below(0xf00);
        out_.units.clear();
        out_.memory.clear();
        out_.pages.clear();
        out_.scratch.fill(std::byte{0});
        out_.modifies_itself = false;
        out_.undefined_flags = out_.undefined_between = 0;
    }

    void registers() {
        Registers& before = out_.before;
        before = Registers{};
        for (uint64_t& reg : before.gpr) reg = random_.integer();
        before.rflags = random_flags(random_);
        if (!random_.one_in(4)) before.rflags &= ~uint64_t{rflags::kAc};
        before.gs_base = kGsBase;
        constexpr uint16_t kCode64 = 0x33, kCode32 = 0x23, kData = 0x2b;
        before.selectors = {kData, code64() ? kCode64 : kCode32, kData, kData, 0, 0};
        random_x87(random_, before.xsave);
        random_vectors(random_, before.xsave);
        // Mostly with exceptions masked, or few blocks would reach their end.
        if (!random_.one_in(8)) {
            store_unaligned(before.xsave.data(), static_cast<uint16_t>(
                load_unaligned<uint16_t>(before.xsave.data()) | 0x3f));
            store_unaligned(before.xsave.data() + 2, static_cast<uint16_t>(
                load_unaligned<uint16_t>(before.xsave.data() + 2) & ~0x8080));
            store_unaligned(before.xsave.data() + kMxcsrOffset,
                            load_unaligned<uint32_t>(before.xsave.data() + kMxcsrOffset) | 0x1f80);
        }
    }

    void pin(unsigned reg, uint64_t value) {
        plan_.surroundings.pinned |= static_cast<uint16_t>(1u << reg);
        out_.before.gpr[reg] = value;
    }

    void pin_registers() {
        // Sometimes so that it grows into the page below.
        const uint64_t middle = random_.one_in(3) ? 0x3000 - 0x20 : 0x3400;
        const uint64_t stack = kDataAddress + kAliasStride * random_.below(kAliases) + middle +
                               8 * random_.below(16) + (random_.one_in(6) ? random_.below(8) : 0);
        pin(kRsp, stack);
        note_page(stack);
        note_page(stack - 0x40);
        std::vector<unsigned> free = {kRbx, kRbp, kRsi, kRdi};
        if (code64()) free.insert(free.end(), {kR8, kR9, kR12, kR13, kR14, kR15});
        const uint64_t anchors = random_.below(code64() ? 4 : 2);
        for (uint64_t i = 0; i < anchors; ++i) {
            const unsigned reg = take(free);
            const uint64_t data = kDataAddress + kAliasStride * random_.below(kAliases);
            // Often so near a page's end that accesses off it are in both pages.
            const uint64_t offset = random_.one_in(2) ? 0x1000 + 64 * random_.below(0x20)
                                                      : 0x1fc0 + random_.below(0x80);
            pin(reg, data + offset);
            note_page(data + offset);
            note_page(data + offset + 0x40);
            plan_.anchors.push_back(reg);
            if (random_.one_in(3)) plan_.walking = static_cast<int>(reg);
        }
        if (random_.one_in(2)) {
            plan_.counter = static_cast<int>(take(free));
            pin(static_cast<unsigned>(plan_.counter), 2 + random_.below(9));
        }
        if (!code64()) {
            for (uint64_t& reg : out_.before.gpr) reg &= 0xffffffff;
            std::fill(out_.before.gpr.begin() + 8, out_.before.gpr.end(), 0);
        }
    }
    unsigned take(std::vector<unsigned>& from) {
        const auto at = static_cast<ptrdiff_t>(random_.below(from.size()));
        const unsigned reg = from[static_cast<size_t>(at)];
        from.erase(from.begin() + at);
        return reg;
    }
    void note_page(uint64_t linear) { out_.pages.push_back(linear & ~uint64_t{0xfff}); }

    void main_and_functions() {
        const auto total = static_cast<unsigned>(3 + random_.below(28));
        const auto functions = total < 8 ? 0u : static_cast<unsigned>(random_.below(3));
        const unsigned main = total / (functions + 1) + total % (functions + 1);
        std::vector<Region> regions = {{.begin = 0, .end = main}};
        for (unsigned i = 0; i < functions; ++i) {
            const unsigned begin = regions.back().end + 1;
            regions.push_back({.begin = begin, .end = begin + total / (functions + 1)});
        }
        plan_patches(regions.front().end);
        for (size_t i = 0; i < regions.size(); ++i) {
            std::vector<unsigned> callable;
            for (size_t f = i + 1; f < regions.size(); ++f) callable.push_back(regions[f].begin);
            body(regions[i], callable, i == 0);
        }
    }

    // Which units may be changed while the block runs.
    void plan_patches(unsigned total) {
        if (!random_.one_in(6)) return;
        out_.modifies_itself = true;
        // At its own address, or at another one of the same memory.
        plan_.patch_through = kWritableCodeAddress;
        if (random_.one_in(2)) out_.address += kWritableCodeAddress - kCodeAddress;
        for (uint64_t i = 0, count = 1 + random_.below(3); i < count; ++i) {
            plan_.patchable.push_back(
                {.unit = static_cast<unsigned>(random_.below(total)),
                 .kind = static_cast<Patchable::Kind>(random_.below(3))});
        }
        const auto by_unit = [](const Patchable& a, const Patchable& b) { return a.unit < b.unit; };
        const auto same_unit = [](const Patchable& a, const Patchable& b) {
            return a.unit == b.unit;
        };
        auto& all = plan_.patchable;
        std::sort(all.begin(), all.end(), by_unit);
        all.erase(std::unique(all.begin(), all.end(), same_unit), all.end());
    }

    Unit unit(const Region& region, unsigned at, const std::vector<unsigned>& callable) {
        BlockPatches patches(random_, plan_, out_);
        for (const Patchable& each : plan_.patchable) {
            if (each.unit == at) return patches.patchable(each);
        }
        const uint64_t kind = random_.below(100);
        if (kind < 12 && !plan_.patchable.empty()) return patches.patch();
        if (kind < 35) return BlockBranches(random_, plan_, out_).make(region, at, callable);
        BlockFields fields(random_, plan_, out_);
        if (kind < 50 && fields.possible()) return fields.make();
        return BlockInstructions(choice_, random_, plan_, out_).make();
    }

    void body(const Region& region, const std::vector<unsigned>& callable, bool main) {
        for (unsigned at = region.begin; at < region.end; ++at)
            out_.units.push_back(unit(region, at, callable));
        const BlockBranches branches(random_, plan_, out_);
        out_.units.push_back(main ? branches.end() : branches.function_end());
    }

    const FormChoice& choice_;
    Random& random_;
    Block& out_;
    BlockPlan plan_;
};

}  // namespace

void generate_block(const FormChoice& choice, uint64_t seed, uint64_t number, Block& out) {
    Random random(seed * 0x9e3779b97f4a7c15 + number * 0xd1342543de82ef95 + 77);
    random.next();
    out.number = number;
    BlockGenerator(choice, random, out).run();
}

}  // namespace mynah::silicon
