#include "machine/event_story.h"

#include <fmt/core.h>

#include <array>
#include <deque>
#include <optional>

#include "machine/register_dump.h"

namespace mynah {
namespace {

using Event = EventTrail::Event;

constexpr unsigned kPageFault = 14;

std::string event_name(const Event& event) {
    // [SDM 3A 6.3.1, table 6-1]
    constexpr std::array<const char*, 22> kNames{
        "#DE", "#DB", "NMI", "#BP", "#OF", "#BR", "#UD", "#NM", "#DF", "9",   "#TS",
        "#NP", "#SS", "#GP", "#PF", "15",  "#MF", "#AC", "#MC", "#XM", "#VE", "#CP"};
    if (event.external && event.vector != 2) return fmt::format("interrupt {:#x}", event.vector);
    const std::string name = event.vector < kNames.size() ? kNames[event.vector]
                                                          : fmt::format("{:#x}", event.vector);
    return event.has_error_code ? fmt::format("{}({:#x})", name, event.error_code) : name;
}

std::string event_text(const Event& event) {
    std::string text = fmt::format("{} at rip {:016x}", event_name(event), event.rip);
    if (!event.external && event.vector == kPageFault)
        text += fmt::format(", address {:016x}", event.address);
    return text;
}

// The events behind the last that was delivered: why the processor shut down.
std::string chain_of(const EventTrail& trail) {
    size_t first = trail.events.size();
    while (first > 0 && !trail.events[first - 1].delivered) --first;
    std::string text;
    for (size_t i = first; i < trail.events.size(); ++i) {
        text += text.empty() ? "" : " -> ";
        text += i == first ? event_text(trail.events[i]) : event_name(trail.events[i]);
        const Event& event = trail.events[i];
        if (i != first && event.vector == kPageFault)
            text += fmt::format(" address {:016x}", event.address);
    }
    return text.empty() ? "" : text + " -> shutdown\n";
}

std::string earlier_events(const EventTrail& trail) {
    std::string text;
    for (size_t i = 0; i < trail.events.size(); ++i) {
        if (trail.events[i].delivered) text += "  " + event_text(trail.events[i]) + "\n";
    }
    return text;
}

bool ends_piece(const Instruction& instruction) {
    switch (instruction.info.meta.category) {
        case ZYDIS_CATEGORY_CALL:
        case ZYDIS_CATEGORY_RET:
        case ZYDIS_CATEGORY_COND_BR:
        case ZYDIS_CATEGORY_UNCOND_BR:
        case ZYDIS_CATEGORY_INTERRUPT:
        case ZYDIS_CATEGORY_SYSCALL:
        case ZYDIS_CATEGORY_SYSRET:
            return true;
        default:
            return false;
    }
}

CodeSize code_size(const EventTrail::Piece& piece) {
    return piece.code_bits == 64   ? CodeSize::k64
           : piece.code_bits == 32 ? CodeSize::k32
                                   : CodeSize::k16;
}

// Where an exception or interrupt took the processor out of a piece.
std::optional<uint64_t> interrupted_at(const EventTrail& trail, size_t piece) {
    const uint64_t number = trail.pieces.count - trail.pieces.size() + piece + 1;
    for (size_t i = 0; i < trail.events.size(); ++i) {
        if (trail.events[i].piece == number) return trail.events[i].linear;
    }
    return std::nullopt;
}

// The instructions that ran, the last ones of `lines` being the latest. A piece runs until it
// branches, until the next one begins, or until RIP.
class Before {
  public:
    Before(const CpuState& state, const GuestMemory& memory, Mmu& mmu)
        : state_(state), memory_(memory), mmu_(mmu) {}

    void add(const EventTrail::Piece& piece, uint64_t end) {
        constexpr unsigned kMostOfPiece = 64;
        uint64_t linear = piece.linear;
        for (unsigned i = 0; i < kMostOfPiece && linear != end; ++i) {
            const auto fetched = fetch_instruction(state_, memory_, mmu_, linear, code_size(piece));
            if (!fetched.decoded) return gap();
            keep(fetched.line);
            linear += fetched.instruction.length();
            if (!ends_piece(fetched.instruction)) continue;
            // Behind a branch of linked code there is what its trail does not have.
            if (piece.linked && linear != end) gap();
            return;
        }
        if (linear != end) gap();
    }
    std::string text() const {
        std::string text;
        for (const std::string& line : lines_) text += line;
        return text;
    }

  private:
    void gap() { keep("  ...\n"); }
    void keep(std::string line) {
        constexpr size_t kMost = 12;
        lines_.push_back(std::move(line));
        if (lines_.size() > kMost) lines_.pop_front();
    }

    const CpuState& state_;
    const GuestMemory& memory_;
    Mmu& mmu_;
    std::deque<std::string> lines_;
};

}  // namespace

std::string format_trail(unsigned vcpu, const CpuState& state, const EventTrail& trail,
                         const GuestMemory& memory, Mmu& mmu) {
    const std::string chain = chain_of(trail), earlier = earlier_events(trail);
    std::string out;
    if (!chain.empty()) out += fmt::format("vcpu {}: {}", vcpu, chain);
    if (!earlier.empty()) out += fmt::format("vcpu {} had before\n{}", vcpu, earlier);
    const uint64_t rip = state.code64() ? state.rip : (state.cs().base + state.rip) & 0xffffffff;
    Before before(state, memory, mmu);
    for (size_t i = 0; i < trail.pieces.size(); ++i) {
        const uint64_t next = i + 1 < trail.pieces.size() ? trail.pieces[i + 1].linear : rip;
        before.add(trail.pieces[i], interrupted_at(trail, i).value_or(next));
    }
    if (const std::string text = before.text(); !text.empty())
        out += fmt::format("vcpu {} ran before\n{}", vcpu, text);
    return out;
}

}  // namespace mynah
