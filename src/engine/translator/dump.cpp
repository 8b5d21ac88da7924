#include "engine/translator/dump.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "engine/translator/instruction_kind.h"
#include "engine/translator/processor.h"
#include "engine/translator/translation.h"

namespace mynah::translator {
namespace {

constexpr unsigned kBytesColumn = 33;  // eleven bytes; longer instructions push their text away

std::string hex_bytes(const std::byte* bytes, size_t size) {
    std::string out;
    for (size_t i = 0; i < size; ++i) out += fmt::format("{:02x} ", unsigned(bytes[i]));
    return out;
}

std::string listing_line(uint64_t address, const std::byte* bytes, size_t size,
                         const std::string& text) {
    return fmt::format("  {:x}  {:<{}} {}\n", address, hex_bytes(bytes, size), kBytesColumn, text);
}

// Flags in the shape of GuestInstruction: as LAHF has them, OF as bit 1.
std::string flag_names(uint8_t flags) {
    struct Name {
        uint8_t bit;
        char name;
    };
    constexpr Name kNames[] = {{2, 'O'}, {0x80, 'S'}, {0x40, 'Z'}, {0x10, 'A'}, {4, 'P'}, {1, 'C'}};
    std::string out;
    for (const Name& each : kNames) {
        if ((flags & each.bit) != 0) out += each.name;
    }
    return out.empty() ? "none" : out;
}

const char* place_name(FlagsAt place) {
    switch (place) {
        case FlagsAt::kHost: return "host register";
        case FlagsAt::kBoth: return "host register and memory";
        case FlagsAt::kMemory: return "memory";
        case FlagsAt::kRecipe: return "registers that give them";
    }
    return "?";
}

const char* exit_name(ExitSite::Kind kind) {
    switch (kind) {
        case ExitSite::Kind::kNone: return "none";
        case ExitSite::Kind::kDirect: return "jump";
        case ExitSite::Kind::kIndirect: return "indirect jump";
        case ExitSite::Kind::kGuard: return "guard failed";
        case ExitSite::Kind::kInterpret: return "to the interpreter";
        case ExitSite::Kind::kSlow: return "slow access";
        case ExitSite::Kind::kHandled: return "behind a handler";
    }
    return "?";
}

// What belongs to a call of a thunk besides the call.
enum class Data : uint8_t { kNone, kSiteBehind, kHandledBefore };
struct ThunkName {
    const std::byte* at;
    const char* name;
    Data data = Data::kNone;
};

template <typename T>
T read(const std::byte* at) {
    T value;
    std::memcpy(&value, at, sizeof value);
    return value;
}

// What happens to an instruction, as found in the code made for it.
struct Way {
    const Handled* handled = nullptr;  // its handler is called
    bool always = false;               // and always, not only in special cases
    bool interpreted = false;          // the block ends before it
};

class BlockDescription {
  public:
    explicit BlockDescription(const BlockView& view)
        : view_(view),
          thunks_{{{view.thunks.exit, "exit", Data::kSiteBehind},
                   {view.thunks.exit_indirect, "exit_indirect", Data::kSiteBehind},
                   {view.thunks.slow_access, "slow_access"},
                   {view.thunks.stack_read, "stack_read"},
                   {view.thunks.stack_write, "stack_write"},
                   {view.thunks.stack_range_read, "stack_range_read"},
                   {view.thunks.stack_range_write, "stack_range_write"},
                   {view.thunks.handler, "handler", Data::kHandledBefore},
                   {view.thunks.load_vectors, "load_vectors"},
                   {view.thunks.load_x87, "load_x87"}}} {}

    std::string text() {
        header();
        guest_listing();
        host_listing();
        return std::move(out_);
    }

  private:
    // --- guest ---
    void header();
    void guest_listing();
    void analysis(size_t i, uint8_t live_behind);
    std::string accesses(const GuestInstruction& in) const;
    std::vector<uint8_t> live_flags() const;
    Way way_of(size_t i) const;
    void look_for_calls(uint32_t from, uint32_t to, bool cold, Way& way) const;

    // --- host ---
    void host_listing();
    void entries(uint32_t at);
    uint32_t host_line(uint32_t at);
    void site_line(uint32_t at);
    void access_line(uint32_t at);
    const Handled* handled_at(uint32_t behind) const;
    std::string note_of(const Instruction& instruction, uint32_t behind) const;
    std::string frame_name(int64_t disp) const;
    const ThunkName* thunk_called(const Instruction& instruction, uint32_t behind) const;

    uint32_t end() const { return static_cast<uint32_t>(view_.block.end - view_.trace.begin); }
    uint32_t hot_end() const { return view_.trace.cold.empty() ? end() : view_.trace.cold[0].host; }
    const std::byte* at(uint32_t offset) const { return view_.trace.begin + offset; }
    uint32_t cold_end(size_t i) const {
        return i + 1 < view_.trace.cold.size() ? view_.trace.cold[i + 1].host : end();
    }
    // Where a cold part's code begins.
    uint32_t cold_code(size_t i) const {
        const BlockTrace::Cold& cold = view_.trace.cold[i];
        return cold.host + (cold.has_access_site ? uint32_t{sizeof(AccessSite)} : 0);
    }
    bool decode_at(uint32_t offset, Instruction& instruction) const {
        return decode(std::span(at(offset), end() - offset), CodeSize::k64, instruction) ==
               DecodeStatus::kOk;
    }
    // The guest instruction that a cold part belongs to; the count of them: the block's end.
    size_t owner_of_cold(size_t cold) const {
        const auto& steps = view_.trace.steps;
        size_t i = 0;
        while (i + 1 < steps.size() && steps[i + 1].cold <= cold) ++i;
        return i;
    }

    const BlockView& view_;
    const std::array<ThunkName, 10> thunks_;
    std::string out_;
};

void BlockDescription::header() {
    const Block& block = view_.block;
    out_ += fmt::format(
        "block at {:x}: {} instructions, {} bytes; {}{}{}; host code {} bytes, {} of them hot\n",
        block.rip, view_.guest.size(), block.byte_count, view_.mode,
        (block.mode & kUngrouped) != 0 ? "; without shared checks" : "",
        block.valid ? "" : "; void", end(), hot_end());
}

// Which flags are wanted behind each instruction. Whatever can leave the block wants all.
std::vector<uint8_t> BlockDescription::live_flags() const {
    constexpr uint8_t kAll = 0xd7;
    std::vector<uint8_t> live(view_.guest.size(), kAll);
    for (size_t i = view_.guest.size(); i-- > 1;) {
        const GuestInstruction& in = view_.guest[i];
        const bool may_leave = branch_kind(in.mnemonic()) != BranchKind::kNone ||
                               touches_memory(in.decoded) || way_of(i).handled != nullptr ||
                               way_of(i).interpreted;
        uint8_t before = live[i];
        if (in.always_writes) before &= static_cast<uint8_t>(~in.flags_written);
        live[i - 1] = may_leave ? kAll : static_cast<uint8_t>(before | in.flags_read);
    }
    return live;
}

void BlockDescription::guest_listing() {
    out_ += "guest:\n";
    const std::vector<uint8_t> live = live_flags();
    for (size_t i = 0; i < view_.guest.size(); ++i) {
        const GuestInstruction& in = view_.guest[i];
        out_ += listing_line(in.rip, in.bytes, in.decoded.length(),
                             disassemble(in.decoded, in.rip));
        analysis(i, live[i]);
    }
}

std::string BlockDescription::accesses(const GuestInstruction& in) const {
    std::string out;
    if (!touches_memory(in.decoded)) return out;
    for (unsigned i = 0; i < in.decoded.info.operand_count; ++i) {
        const ZydisDecodedOperand& operand = in.operand(i);
        if (operand.type != ZYDIS_OPERAND_TYPE_MEMORY) continue;
        const bool reads = (operand.actions & ZYDIS_OPERAND_ACTION_MASK_READ) != 0;
        const bool writes = (operand.actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) != 0;
        const bool hidden = operand.visibility == ZYDIS_OPERAND_VISIBILITY_HIDDEN;
        out += fmt::format("; {} {} bytes{}",
                           reads && writes ? "reads and writes"
                           : writes        ? "writes"
                                           : "reads",
                           operand.size / 8, hidden ? " (implied)" : "");
    }
    return out;
}

// Why the translator has no code of its own for an instruction, as far as that can be told.
std::string why_handled(const GuestInstruction& in) {
    const ZydisDecodedInstruction& info = in.decoded.info;
    if ((info.attributes & (ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE |
                            ZYDIS_ATTRIB_HAS_REPNE)) != 0) {
        return "repeated string instruction";
    }
    if ((info.attributes & ZYDIS_ATTRIB_IS_PRIVILEGED) != 0) return "privileged";
    switch (info.meta.category) {
        case ZYDIS_CATEGORY_SYSTEM: return "system instruction";
        case ZYDIS_CATEGORY_IO:
        case ZYDIS_CATEGORY_IOSTRINGOP: return "port access";
        case ZYDIS_CATEGORY_STRINGOP: return "string instruction";
        case ZYDIS_CATEGORY_X87_ALU: return "x87";
        case ZYDIS_CATEGORY_MMX: return "MMX";
        default: break;
    }
    for (unsigned i = 0; i < info.operand_count; ++i) {
        const ZydisDecodedOperand& operand = in.operand(i);
        if (operand.type != ZYDIS_OPERAND_TYPE_REGISTER) continue;
        switch (ZydisRegisterGetClass(operand.reg.value)) {
            case ZYDIS_REGCLASS_XMM:
            case ZYDIS_REGCLASS_YMM: return "vector instruction, not translated in this mode";
            case ZYDIS_REGCLASS_SEGMENT: return "segment register";
            default: break;
        }
    }
    if (is_generic_integer(in.mnemonic())) return "these operands are not translated";
    return "not translated";
}

void BlockDescription::analysis(size_t i, uint8_t live_behind) {
    const GuestInstruction& in = view_.guest[i];
    out_ += fmt::format("      flags: before it in {}; reads {}, writes {}, wanted behind it {}",
                        place_name(view_.trace.steps[i].flags), flag_names(in.flags_read),
                        flag_names(in.flags_written),
                        in.flags_written == 0 ? "as before"
                                              : flag_names(live_behind & in.flags_written));
    out_ += accesses(in);
    if (in.group >= 0) out_ += fmt::format("; shares check {}", in.group + 1);
    const Way way = way_of(i);
    if (way.interpreted) {
        out_ += fmt::format("\n      ends the block: left to the interpreter ({})", why_handled(in));
    } else if (way.handled != nullptr && way.always) {
        out_ += fmt::format("\n      by the interpreter's handler ({}), {} times so far",
                            why_handled(in), way.handled->runs);
    } else if (way.handled != nullptr) {
        out_ += fmt::format("\n      special cases by the interpreter's handler, {} times so far",
                            way.handled->runs);
    }
    out_ += '\n';
}

void BlockDescription::look_for_calls(uint32_t from, uint32_t to, bool cold, Way& way) const {
    Instruction host;
    while (from < to && decode_at(from, host)) {
        from += host.length();
        const ThunkName* thunk = thunk_called(host, from);
        if (thunk == nullptr) continue;
        if (thunk->data == Data::kHandledBefore) {
            way.handled = handled_at(from);
            way.always = way.always || !cold;
        } else if (thunk->data == Data::kSiteBehind) {
            const ExitSite& site = view_.sites[read<uint32_t>(at(from))];
            if (site.kind == ExitSite::Kind::kInterpret) way.interpreted = true;
            from += uint32_t{sizeof(uint32_t)};
        }
    }
}

Way BlockDescription::way_of(size_t i) const {
    Way way;
    const auto& steps = view_.trace.steps;
    look_for_calls(steps[i].host, steps[i + 1].host, false, way);
    for (uint32_t c = steps[i].cold; c < steps[i + 1].cold; ++c) {
        look_for_calls(cold_code(c), cold_end(c), true, way);
    }
    return way;
}

const ThunkName* BlockDescription::thunk_called(const Instruction& instruction,
                                                uint32_t behind) const {
    if (instruction.mnemonic() != ZYDIS_MNEMONIC_CALL ||
        instruction.operands[0].type != ZYDIS_OPERAND_TYPE_IMMEDIATE) {
        return nullptr;
    }
    const std::byte* target = at(behind) + instruction.operands[0].imm.value.s;
    for (const ThunkName& thunk : thunks_) {
        if (thunk.at == target) return &thunk;
    }
    return nullptr;
}

// What of the frame or the processor's state is at [RSP + disp].
std::string BlockDescription::frame_name(int64_t disp) const {
    constexpr const char* kRegisters[] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                          "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};
    const Offsets& o = view_.offsets;
    const int64_t gpr = disp - o.gpr;
    if (gpr >= 0 && gpr < 16 * 8) return fmt::format("guest {}", kRegisters[gpr / 8]);
    const int64_t vector = disp - o.vector;
    if (vector >= 0 && vector < 16 * int64_t{sizeof(VectorRegister)})
        return fmt::format("guest ymm{}", vector / int64_t{sizeof(VectorRegister)});
    const int64_t segment = disp - o.segment_base;
    constexpr const char* kSegments[] = {"es", "cs", "ss", "ds", "fs", "gs"};
    if (segment >= 0 && segment < int64_t{std::size(kSegments)} * 8)
        return fmt::format("base of {}", kSegments[segment / 8]);
    const int64_t loaded = disp - o.segments;
    if (loaded >= 0 && loaded < int64_t{std::size(kSegments)} * int64_t{sizeof(SegmentRegister)})
        return fmt::format("segment {}", kSegments[loaded / int64_t{sizeof(SegmentRegister)}]);
    if (disp >= o.x87 && disp < o.x87 + int64_t{sizeof(X87State)}) return "guest x87";
    struct Name {
        int64_t at;
        const char* name;
    };
    const Name names[] = {{o.flags, "guest flags"},
                          {o.flags + 1, "guest flags, as in AH"},
                          {o.system_flags, "system flags"},
                          {o.data_table, "TLB"},
                          {o.mxcsr, "guest mxcsr"},
                          {o.tsc_offset, "TSC offset"},
                          {offsetof(HostFrame, stack_tag), "stack page: tag"},
                          {offsetof(HostFrame, stack_host), "stack page: host"},
                          {offsetof(HostFrame, gate), "gate"},
                          {offsetof(HostFrame, scratch), "scratch"},
                          {offsetof(HostFrame, vectors_live), "vectors are loaded"},
                          {offsetof(HostFrame, x87_live), "x87 is loaded"},
                          {offsetof(HostFrame, jump_rips), "jump cache: address"},
                          {offsetof(HostFrame, jump_code), "jump cache: code"}};
    for (const Name& each : names) {
        if (each.at == disp) return each.name;
    }
    return "";
}

// What the operands of a host instruction stand for.
std::string BlockDescription::note_of(const Instruction& instruction, uint32_t behind) const {
    if (const ThunkName* thunk = thunk_called(instruction, behind); thunk != nullptr) {
        if (thunk->data != Data::kHandledBefore) return thunk->name;
        const Handled* handled = handled_at(behind);
        return fmt::format("{}: {} at {:x}", thunk->name, ZydisMnemonicGetString(handled->mnemonic),
                           handled->block_rip + handled->op.offset);
    }
    for (unsigned i = 0; i < instruction.info.operand_count_visible; ++i) {
        const ZydisDecodedOperand& operand = instruction.operands[i];
        if (operand.type == ZYDIS_OPERAND_TYPE_MEMORY && operand.mem.base == ZYDIS_REGISTER_RSP) {
            return frame_name(operand.mem.disp.has_displacement ? operand.mem.disp.value : 0);
        }
        if (operand.type != ZYDIS_OPERAND_TYPE_IMMEDIATE || !operand.imm.is_relative) continue;
        const int64_t target = int64_t{behind} + operand.imm.value.s;
        if (target < 0 || target >= int64_t{end()}) return "linked: into another block";
        for (size_t c = 0; c < view_.trace.cold.size(); ++c) {
            if (cold_code(c) == target) return fmt::format("cold part {}", c + 1);
        }
    }
    return "";
}

// The instruction whose handler is called: its address ends the instruction before the call.
const Handled* BlockDescription::handled_at(uint32_t behind) const {
    return read<const Handled*>(at(behind - kCallLength - uint32_t{sizeof(const Handled*)}));
}

void BlockDescription::site_line(uint32_t offset) {
    const auto number = read<uint32_t>(at(offset));
    const ExitSite& site = view_.sites[number];
    std::string text = fmt::format("data: exit {}: {}, {} instructions done", number,
                                   exit_name(site.kind), site.count);
    if (site.kind == ExitSite::Kind::kDirect) {
        text += fmt::format(", to {:x}{}{}", site.target, site.guarded ? ", guarded" : "",
                            site.ungrouped ? ", without shared checks" : "");
    }
    out_ += listing_line(reinterpret_cast<uintptr_t>(at(offset)), at(offset), sizeof number, text);
}

void BlockDescription::access_line(uint32_t offset) {
    const auto site = read<AccessSite>(at(offset));
    const bool writes = static_cast<AccessKind>(site.kind) == AccessKind::kWrite;
    const std::string text =
        fmt::format("data: {} of {} bytes, {} instructions done", writes ? "write" : "read",
                    unsigned{site.size}, unsigned{site.count});
    out_ += listing_line(reinterpret_cast<uintptr_t>(at(offset)), at(offset), sizeof site, text);
}

// The line or lines of one host instruction; where the next one is.
uint32_t BlockDescription::host_line(uint32_t offset) {
    Instruction host;
    if (!decode_at(offset, host)) {
        out_ += listing_line(reinterpret_cast<uintptr_t>(at(offset)), at(offset), 1, "?");
        return offset + 1;
    }
    const uint32_t behind = offset + host.length();
    const auto address = reinterpret_cast<uintptr_t>(at(offset));
    std::string text = disassemble(host, address);
    if (const std::string note = note_of(host, behind); !note.empty())
        text = fmt::format("{:<44} ; {}", text, note);
    out_ += listing_line(address, at(offset), host.length(), text);
    const ThunkName* thunk = thunk_called(host, behind);
    if (thunk == nullptr || thunk->data != Data::kSiteBehind) return behind;
    site_line(behind);
    return behind + uint32_t{sizeof(uint32_t)};
}

void BlockDescription::entries(uint32_t offset) {
    const Block& block = view_.block;
    if (block.guarded == at(offset)) out_ += "    entry: flags in memory, mapping to be checked\n";
    if (block.from_memory_flags == at(offset)) out_ += "    entry: flags in memory\n";
    if (block.from_host_flags == at(offset)) out_ += "    entry: flags in the host register\n";
}

void BlockDescription::host_listing() {
    out_ += "host:\n";
    const auto& steps = view_.trace.steps;
    const size_t count = view_.guest.size();
    const auto heading = [&](size_t i) {
        const GuestInstruction& in = view_.guest[i];
        return fmt::format("{:x}  {}", in.rip, disassemble(in.decoded, in.rip));
    };
    size_t step = 0;
    for (uint32_t offset = 0; offset < hot_end();) {
        entries(offset);
        for (; step < steps.size() && steps[step].host <= offset; ++step) {
            out_ += step < count ? fmt::format("    {}\n", heading(step)) : "    end of the block\n";
        }
        offset = host_line(offset);
    }
    for (size_t c = 0; c < view_.trace.cold.size(); ++c) {
        const bool entry = c < steps[0].cold;
        const size_t owner = owner_of_cold(c);
        out_ += fmt::format("    cold part {}, of {}\n", c + 1,
                            entry           ? "the entry"
                            : owner < count ? heading(owner)
                                            : "the end of the block");
        if (view_.trace.cold[c].has_access_site) access_line(view_.trace.cold[c].host);
        for (uint32_t offset = cold_code(c); offset < cold_end(c);) offset = host_line(offset);
    }
}

}  // namespace

std::string describe_block(const BlockView& view) { return BlockDescription(view).text(); }

}  // namespace mynah::translator
