// Every translated block is run a second time, by the interpreter, from the same state on the same
// memory, and the results are compared. For hunting bugs, on one processor.
//
// Blocks are not linked, so that each comes back behind its last instruction, or before the one
// that the interpreter is to run: there the comparison ends. So nothing that can be seen outside
// (ports, devices' registers) happens twice, and nothing that differs by nature (time stamps,
// random numbers) is compared. What devices on other threads write meanwhile can be lost only if it
// is within a page that the block wrote to, at that very moment.

#include <fmt/format.h>

#include <array>
#include <cstdio>

#include "engine/interpreter/block_cache.h"
#include "engine/translator/processor.h"
#include "engine/translator/state_differences.h"

namespace mynah::translator {

// Instructions by the interpreter; false: it found something else to do than complete so many.
bool Processor::interpret_exactly(uint64_t count) {
    const uint64_t end = core_.stats.instructions + count;
    const uint64_t exceptions = core_.stats.exceptions;
    while (core_.stats.instructions < end) {
        interpreter::Block* block = core_.find_block();
        if (block == nullptr) return false;
        const uint64_t before = core_.stats.instructions;
        const auto most = static_cast<unsigned>(end - before);
        if (!core_.execute(*block, most) || core_.stats.exceptions != exceptions) return false;
        if (core_.stats.instructions == before) return false;
    }
    return true;
}

// The flags that the architecture leaves undefined after the first instructions of a block, as bits
// of Flags::arithmetic: the translator's encoding of an instruction may set them otherwise than the
// interpreter's does.
uint16_t Processor::undefined_flags(uint32_t id, uint64_t count) {
    std::array<std::byte, kMostBytes> bytes;
    uint32_t undefined = 0;
    for (const GuestInstruction& in : decode_again(id, bytes)) {
        if (count-- == 0) break;
        const ZydisAccessedFlags* flags = in.decoded.info.cpu_flags;
        if (flags == nullptr) continue;
        if (!in.keeps_flags) undefined &= ~(flags->modified | flags->set_0 | flags->set_1);
        undefined |= flags->undefined;
    }
    const auto low = static_cast<uint16_t>((undefined & 0xd5) << 8);
    return static_cast<uint16_t>(low | ((undefined & ZYDIS_CPUFLAG_OF) != 0 ? Flags::kOf : 0));
}

// Runs a block both ways. What differs, as lines of text; the interpreter's results are kept.
std::string Processor::trial(uint32_t id, Rest& rest) {
    const CpuState before = core_.s;
    const uint64_t instructions = core_.stats.instructions, exceptions = core_.stats.exceptions;
    write_log_->begin();
    frame_.stack_tag = HostFrame::kNoStack;  // the page may have lost its admission
    rest = leave_block(enter_block(id));
    pending_link_ = 0;
    jumped_ = false;
    if (rest == Rest::kFinishHandled) {  // its handler was not run
        core_.s.rip = core_.wrap_ip(handled_last_->block_rip + handled_last_->op.offset);
        rest = Rest::kInterpretOne;
    }
    const uint64_t count = core_.stats.instructions - instructions;
    CpuState translated = core_.s;
    write_log_->undo();
    core_.s = before;
    core_.stats.instructions = instructions;
    core_.stats.exceptions = exceptions;

    std::string difference;
    if (!interpret_exactly(count))
        difference = fmt::format("  the interpreter does not complete {} instructions\n", count);
    if (translated.flags.arithmetic != core_.s.flags.arithmetic) {
        const uint16_t any = undefined_flags(id, count);
        translated.flags.arithmetic = static_cast<uint16_t>(
            (translated.flags.arithmetic & ~any) | (core_.s.flags.arithmetic & any));
    }
    difference += state_differences(translated, core_.s) + write_log_->differences();
    write_log_->end();
    if (difference.empty()) return "";
    return fmt::format("after {} instructions ({} compared before)\n{}", count, instructions,
                       difference);
}

// False: triple fault.
bool Processor::run_in_lockstep(uint32_t id) {
    const CpuState before = core_.s;
    const uint64_t instructions = core_.stats.instructions, exceptions = core_.stats.exceptions;
    Rest rest = Rest::kNothing;
    const std::string difference = trial(id, rest);
    if (difference.empty()) return rest == Rest::kNothing || interpret_one();

    // A device on another thread may have written between the two runs. What the translator does
    // wrong, it does wrong again.
    std::string again = difference;
    for (unsigned i = 0; i < 3 && !again.empty(); ++i) {
        write_log_->start_over();
        core_.s = before;
        core_.stats.instructions = instructions;
        core_.stats.exceptions = exceptions;
        core_.stop_ = false;
        core_.refresh_mode();
        if (core_.signals_.alarmed()) {  // the block itself may have been written to
            write_log_->give_back();
            return true;
        }
        again = trial(id, rest);
    }
    if (again.empty()) {
        write_log_->give_back();
        std::fputs(("lockstep: only once, a difference " + difference).c_str(), stderr);
        return rest == Rest::kNothing || interpret_one();
    }
    std::fputs(("lockstep: translated code and the interpreter differ " + difference +
                "the state before:\n" + state_lines(before) + describe(id))
                   .c_str(),
               stderr);
    core_.stop_ = true;
    core_.stop_reason_ = VcpuExit::kEngineError;
    return true;
}

}  // namespace mynah::translator
