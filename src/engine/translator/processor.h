#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "engine/engine.h"
#include "engine/interpreter/core.h"
#include "engine/translator/block.h"
#include "engine/translator/code_memory.h"
#include "engine/translator/dump.h"
#include "engine/translator/frame.h"
#include "engine/translator/thunks.h"
#include "engine/translator/translation.h"
#include "engine/translator/translation_mode.h"
#include "memory/write_watch.h"

namespace mynah::translator {

class PerfMap;
class Processor;

// A guest instruction that translated code hands to the interpreter's handler.
struct Handled {
    interpreter::Op op;
    uint64_t block_rip = 0;
    ZydisMnemonic mnemonic = ZYDIS_MNEMONIC_INVALID;
    uint16_t count = 0;  // instructions of the block completed before it
    uint64_t runs = 0;
};

// The processors of one machine, who tell each other where code lies.
struct Crew {
    Mutex mutex;
    std::vector<Processor*> members GUARDED_BY(mutex);
};

// One processor on the translator: runs what is cold on the interpreter and what is hot as
// translated code, both on the same Core. Used by one thread, but for the calls of WriteWatch.
class Processor final : public Vcpu, private WriteWatch::Listener {
  public:
    static std::unique_ptr<Processor> create(const interpreter::Shared& shared, Crew& crew,
                                             CpuPorts& ports, CpuSignals& signals, VcpuIndex index,
                                             const TranslatorOptions& options,
                                             std::unique_ptr<CodeMemory> code);
    ~Processor() override;

    CpuState& state() override { return core_.s; }
    void state_changed() override;
    VcpuExit run(uint64_t instruction_limit) override;
    VcpuStatistics statistics() const override;
    const EventTrail* trail() const override { return core_.trail(); }

    // --- called by emitted code, through thunks ---
    // The host address, or 0: s.rip is at the instruction, which the interpreter must run.
    static uint64_t slow_access(Processor* self, uint64_t scratch0, uint64_t scratch1,
                                const AccessSite* site);
    // 1: the block goes on behind the instruction. 0: back to run(). Else where to go on.
    static uint64_t run_handler(Processor* self, Handled* handled);

  private:
    friend class Translation;
    struct Region;  // stack, frame and core, in one mapping

    Processor(Region* region, Crew& crew, const TranslatorOptions& options,
              std::unique_ptr<CodeMemory> code);
    Offsets measure() const;

    // --- running (processor.cpp) ---
    bool run_translated(uint32_t id);
    bool interpret();
    bool translate_known();
    bool interpret_one();
    bool after_exit(uint32_t site_id);
    // Brings state and counts up to date after an exit; what is left to do then.
    enum class Rest : uint8_t { kNothing, kInterpretOne, kFinishHandled };
    Rest leave_block(uint32_t site_id);
    uint32_t enter_block(uint32_t id);
    bool open_gate();
    bool ready_to_enter();
    void follow_tables();
    uint64_t across_pages(uint64_t linear, unsigned size, AccessKind kind);
    bool finish_handled();
    const std::byte* go_on_after_handler();
    void change_mode(const TranslationMode& mode);
    TranslationMode translation_mode() const;
    DecodeCache& decoder() { return core_.decoder_; }
    bool legacy() const { return core_.mode.code_size != CodeSize::k64; }
    uint64_t fetch_address() const;
    bool vectors_usable(bool vex) const;
    bool x87_usable() const;

    // --- finding and making blocks (blocks.cpp) ---
    uint32_t find_code(bool ungrouped);
    uint32_t lookup(uint64_t rip, uint32_t page, unsigned mode) const;
    uint32_t known_code_page(uint64_t linear);
    uint32_t code_page(uint64_t linear);
    uint64_t page_behind(uint32_t page) const;
    bool guard_mended(uint32_t block);
    uint32_t translate_here(bool ungrouped, bool hot);
    uint32_t new_site(const ExitSite& site);
    void link(uint32_t site_id, uint32_t target_id);
    void unlink_incoming(Block& block);
    void note_jump(const Block& block);
    // Where unrolled loops begin; one may be forgotten for another.
    static constexpr unsigned kLoopHeadBits = 12;
    uint64_t& loop_head(uint64_t rip) {
        const uint32_t hash = static_cast<uint32_t>(rip) * HostFrame::kJumpFactor;
        return loop_heads_[hash >> (32 - kLoopHeadBits)];
    }
    bool is_loop_head(uint64_t rip) { return loop_head(rip) == rip; }
    void note_loop_head(uint64_t rip) { loop_head(rip) = rip; }
    void invalidate(uint32_t id);
    std::pair<unsigned, unsigned> part_in(uint32_t page, const Block& block) const;
    void invalidate_in(uint32_t page, unsigned begin, unsigned end);
    void invalidate_range(uint64_t watched_page, unsigned begin, unsigned end);
    void forget_jumps();
    void flush_code();

    // --- showing them (debugging.cpp) ---
    void keep_trace(uint32_t id, BlockTrace trace);
    std::string describe(uint32_t id);
    std::string mode_text() const;
    static constexpr size_t kMostBytes = Translation::kMaxInstructions * kMaxInstructionLength;
    std::span<const GuestInstruction> decode_again(uint32_t id,
                                                   std::span<std::byte, kMostBytes> bytes);

    // --- comparing with the interpreter (lockstep.cpp) ---
    bool run_in_lockstep(uint32_t id);
    std::string trial(uint32_t id, Rest& rest);
    bool interpret_exactly(uint64_t count);
    uint16_t undefined_flags(uint32_t id, uint64_t count);

    // --- other processors, devices (watching.cpp) ---
    void written(uint64_t page, unsigned begin, unsigned end) override;
    struct Message {
        uint64_t page;
        uint16_t begin, end;  // equal: forget the right to write
    };
    uint64_t post(const Message& message);
    void drain();
    bool writable_at_once(uintptr_t host, unsigned size, uint32_t block);
    void watch_page(CodePage& page);
    bool settled(uint64_t watched_page);

    Region* region_;
    HostFrame& frame_;
    interpreter::Core& core_;
    Crew& crew_;
    const TranslatorOptions options_;
    std::unique_ptr<CodeMemory> code_;
    Offsets offsets_;
    Thunks thunks_;
    size_t thunks_end_ = 0;  // in code_
    size_t used_ = 0;

    std::vector<Block> blocks_;  // reserved once; block 0 is nobody
    std::deque<ExitSite> sites_;  // grows without copying
    std::vector<std::unique_ptr<Handled>> handled_;
    std::vector<uint32_t> buckets_;
    std::unordered_map<uint32_t, BlockTrace> traces_;  // by block; of those that may be shown
    std::vector<CodePage> pages_;
    struct PageKey {
        uint64_t linear, host;
        bool operator==(const PageKey&) const = default;
    };
    struct PageHash {
        size_t operator()(const PageKey& key) const {
            return (key.linear >> 12) * 0x9e3779b97f4a7c15u ^ (key.host >> 12);
        }
    };
    std::unordered_map<PageKey, uint32_t, PageHash> page_ids_;
    std::unordered_map<uint64_t, std::vector<uint32_t>> pages_of_watched_;

    // How often code was run by the interpreter, by a hash of where its first byte lies.
    struct Heat {
        uint8_t tag = 0;  // more of the hash; who comes last has the place
        uint8_t runs = 0;
    };
    static constexpr unsigned kHeatBits = 18;
    static constexpr uint8_t kRewritten = 0xfd;   // it was, and then written to
    static constexpr uint8_t kHot = 0xfe;         // it is not to be brief
    static constexpr uint8_t kTranslated = 0xff;  // it was translated, for some address
    std::vector<Heat> heat_;
    uint8_t& heat(uintptr_t host) {
        const uint64_t hash = host * 0x9e3779b97f4a7c15u;
        Heat& heat = heat_[hash >> (64 - kHeatBits)];
        const auto tag = static_cast<uint8_t>(hash >> (64 - kHeatBits - 8));
        if (heat.tag != tag) heat = {.tag = tag, .runs = 0};
        return heat.runs;
    }
    uint64_t heat_clears_ = 0;  // BlockCache::clears() when they began
    void cool_down();
    uint64_t promoted_at_ = 0;  // TSC
    void promote();
    void promote_among(uint32_t first, uint32_t count);

    std::unique_ptr<GuestInstruction[]> workspace_;
    std::vector<Translation::Cold> cold_;
    std::vector<AccessGroup> groups_;
    std::array<uint64_t, 1u << kLoopHeadBits> loop_heads_{};

    const SoftTlb::Table* gs_table_ = nullptr;     // where GS points
    const SoftTlb::Table* stack_table_ = nullptr;  // what HostFrame::stack_tag was taken from
    uint64_t stack_generation_ = 0;
    PerfMap* perf_map_ = nullptr;
    TranslationMode mode_;
    uint16_t mode_number_ = 0;  // of mode_, in blocks
    uint16_t jumps_mode_ = 0;   // which HostFrame::jumps are for
    bool legacy_jumped_ = false;  // HostFrame::legacy_jumps has entries
    std::unordered_map<TranslationMode, uint16_t, TranslationModeHash> mode_numbers_;
    std::unique_ptr<SoftTlb::Table> closed_;  // what the gate leads to when it is closed
    bool counting_ = false;                   // a limit was given: every block comes back here
    uint32_t pending_link_ = 0;               // the exit that was taken last, if it can be linked
    bool jumped_ = false;                     // it was an indirect one
    bool ungrouped_ = false;  // the block at RIP is wanted in its variant without shared checks
    const Handled* handled_last_ = nullptr;
    interpreter::Outcome outcome_ = interpreter::Outcome::kNext;
    bool handled_finished_ = false, handled_alive_ = true;
    unsigned watch_index_ = 0;

    Mutex inbox_lock_;
    std::vector<Message> inbox_ GUARDED_BY(inbox_lock_);
    std::atomic<uint64_t> posted_{0}, drained_{0};
    std::atomic<bool> running_{false};
    struct Awaited {
        Processor* who;
        uint64_t posted;
    };
    std::unordered_map<uint64_t, std::vector<Awaited>> unsettled_;  // by watched page

    // Only with TranslatorOptions::lockstep.
    std::unique_ptr<WriteLog> write_log_;

    uint64_t flushes_ = 0, promotions_ = 0, translated_ = 0, emitted_ = 0, guest_translated_ = 0, links_ = 0, entries_ = 0, slow_ = 0;
    uint64_t cold_runs_ = 0, guards_ = 0, indirect_ = 0, handled_exits_ = 0;
    uint64_t interpreted_elsewhere_ = 0;
    std::map<ZydisMnemonic, uint64_t> interpreted_;  // handlers run, of blocks flushed since
};

}  // namespace mynah::translator
