// Random code of 16 and 32 bits, in segments with all kinds of bases, limits and rights, on the
// interpreter and on the translator: every register and all of memory must come out the same. (The
// host's silicon can judge flat 32-bit code only: mynah-silicon does that.)

#include <gtest/gtest.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "isa/instruction.h"
#include "spec/x86/paging.h"
#include "testing/no_ports.h"

namespace mynah {
namespace {

namespace attr = x86::segment_attribute;

constexpr uint64_t kMemorySize = 512u << 10, kGdt = 0x1000, kTables = 0x2000;
constexpr uint32_t kCode = 0x60000, kStack = 0x50000, kData = 0x10000;
constexpr unsigned kDescriptors = 24;

class Random {
  public:
    explicit Random(uint64_t seed) : bits_(seed) {}
    uint64_t next() { return bits_(); }
    uint32_t below(uint64_t bound) { return static_cast<uint32_t>(next() % bound); }
    bool one_in(unsigned n) { return below(n) == 0; }
    template <typename T, size_t N>
    T of(const T (&values)[N]) {
        return values[below(N)];
    }

  private:
    std::mt19937_64 bits_;
};

struct Machine {
    std::unique_ptr<GuestMemory> memory;
    CpuidPolicy cpuid;
    NoPorts ports;
    CpuSignals signals;
    std::unique_ptr<Engine> engine;
    std::unique_ptr<Vcpu> vcpu;

    explicit Machine(bool translator)
        : cpuid(CpuidPolicy::create("max", {}, 2'000'000'000).take_value()) {
        const GuestMemory::Range range{GuestPhys(0), kMemorySize};
        memory = GuestMemory::create({&range, 1}).take_value();
        engine = (translator ? make_translator(*memory, cpuid, {.hot_after = 0})
                             : make_interpreter(*memory, cpuid))
                     .take_value();
        vcpu = engine->create_vcpu(ports, signals, VcpuIndex(0));
    }
    std::byte* page(uint64_t at) const { return memory->host(GuestPhys(at), kPageSize); }
    // Only what differs, so that translations of code that does not change stay.
    void restore(const std::vector<std::byte>& image) {
        for (uint64_t at = 0; at < kMemorySize; at += kPageSize) {
            if (std::memcmp(page(at), &image[at], kPageSize) == 0) continue;
            ASSERT_TRUE(memory->write(GuestPhys(at), std::span(image).subspan(at, kPageSize)));
        }
    }
    VcpuExit run(const CpuState& start, uint64_t limit) {
        vcpu->state() = start;
        vcpu->state_changed();
        return vcpu->run(limit);
    }
};

enum class Kind { kReal, kVirtual8086, kProtected16, kProtected32, kCompatibility, kKinds };

// One program with the state it starts in.
struct Program {
    std::vector<std::byte> memory = std::vector<std::byte>(kMemorySize);
    CpuState state;
    std::string text;

    template <typename T>
    void put(uint64_t at, T value) {
        std::memcpy(&memory[at], &value, sizeof value);
    }
};

uint64_t descriptor(const SegmentRegister& segment) {
    const bool pages = segment.limit > 0xfffff;
    const uint64_t limit = pages ? segment.limit >> 12 : segment.limit;
    const uint64_t rights =
        (segment.attributes & 0xf0ff & ~attr::kGranularity) | (pages ? attr::kGranularity : 0);
    return (limit & 0xffff) | (segment.base & 0xffffff) << 16 | rights << 40 |
           (limit >> 16 & 15) << 48 | (segment.base >> 24 & 0xff) << 56;
}

// AMD's processors leave flags as they were that the manual leaves undefined; Intel's make them
// from the result, whatever was before, so that engines which both use the host's instruction
// agree.
bool host_leaves_undefined_flags() {
    uint64_t product = 2;
    uint16_t ax;
    asm("cmp %[product], %[product]\n\timul $3, %[product]\n\tlahf"
        : [product] "+&r"(product), "=&a"(ax)
        :
        : "cc");
    return (ax >> 8 & x86::rflags::kZf) != 0;
}

class Generator {
  public:
    Generator(uint64_t seed, Kind kind) : random_(seed), kind_(kind) {}

    Program make() {
        make_state();
        make_code();
        return std::move(program_);
    }

  private:
    bool in_protected() const { return kind_ != Kind::kReal && kind_ != Kind::kVirtual8086; }
    CodeSize size() const {
        return kind_ >= Kind::kProtected32 ? CodeSize::k32 : CodeSize::k16;
    }

    SegmentRegister data_segment() {
        SegmentRegister segment{.base = kData + 16 * random_.below(0x800),
                                .limit = 0xffff,
                                .attributes = attr::kPresent | attr::kCodeOrData |
                                              attr::kReadableOrWritable | attr::kAccessed,
                                .selector = 0};
        if (!in_protected()) {
            segment.selector = static_cast<uint16_t>(segment.base >> 4);
            if (kind_ == Kind::kVirtual8086) segment.attributes |= attr::kDpl;
            return segment;
        }
        if (random_.one_in(2)) segment.attributes |= attr::kDefaultBig;
        switch (random_.below(8)) {
            case 0: segment.attributes &= ~attr::kReadableOrWritable; break;
            case 1: segment.attributes |= attr::kConformingOrExpandDown; break;
            case 2: segment.limit = random_.below(0x3000); break;
            case 3: segment.attributes |= attr::kCode; break;
            case 4: segment.limit = 0xffffffff; break;
            case 5: break;
            default:
                segment.base = 0;
                segment.limit = 0xffffffff;
                break;
        }
        return segment;
    }

    void make_state() {
        CpuState& s = program_.state;
        s = reset_state();
        const bool long_mode = kind_ == Kind::kCompatibility;
        if (kind_ != Kind::kReal) s.cr0 |= x86::cr0::kPe;
        s.cr4 = x86::cr4::kOsfxsr;
        s.idtr = {.base = 0, .limit = 0};  // every event is a triple fault
        s.gdtr = {.base = kGdt, .limit = kDescriptors * 8 - 1};
        for (unsigned i = 1; i < kDescriptors; ++i)
            program_.put(kGdt + 8 * i, descriptor(data_segment()));
        if (long_mode) make_tables();
        for (unsigned i = 0; i < x86::kSegmentCount; ++i) s.segments[i] = data_segment();
        if (in_protected() && random_.one_in(6))
            s.segment(x86::Segment::kEs) = {.attributes = attr::kUnusable};
        SegmentRegister& ss = s.segment(x86::Segment::kSs);
        ss = data_segment();
        ss.base = ss.limit == 0xffffffff && ss.base == 0 ? 0 : kStack;
        if (!in_protected()) ss.selector = kStack >> 4;
        ss.attributes = (ss.attributes & ~attr::kCode) | attr::kReadableOrWritable;
        SegmentRegister& cs = s.segment(x86::Segment::kCs);
        cs.base = in_protected() && random_.one_in(2) ? 0 : kCode;
        cs.limit = cs.base == 0 ? 0xffffffff : random_.one_in(4) ? 0x2000 : 0xffff;
        cs.selector = in_protected() ? 8 : static_cast<uint16_t>(kCode >> 4);
        cs.attributes = attr::kPresent | attr::kCodeOrData | attr::kReadableOrWritable |
                        attr::kAccessed | (in_protected() ? attr::kCode : 0) |
                        (size() == CodeSize::k32 ? attr::kDefaultBig : 0) |
                        (kind_ == Kind::kVirtual8086 ? attr::kDpl : 0);
        // Sometimes near the end of a page or of the segment.
        start_ = random_.one_in(3) ? 0x1000 - random_.below(64) : random_.below(0x1000);
        if (cs.limit == 0x2000 && random_.one_in(2)) start_ = 0x2000 - random_.below(64);
        s.rip = (cs.base == 0 ? kCode : 0) + start_;
        for (unsigned i = 0; i < 8; ++i) {
            uint64_t value = random_.below(random_.one_in(4) ? 0x10000 : 0x2000);
            if (random_.one_in(6)) value = random_.next() & 0xffffffff;
            if (long_mode && random_.one_in(3)) value |= random_.next() << 32;
            s.gpr[i] = value;
        }
        s.gpr[kRsp] = (ss.base == 0 ? kStack : 0) + 0x800 + random_.below(0x800);
        if (random_.one_in(8)) s.gpr[kRsp] = random_.below(4);
        if (random_.one_in(4)) s.gpr[kRsp] |= 0xabcd0000;  // of use to 16-bit stacks only
        for (unsigned i = 0; i < 8; ++i) {
            for (std::byte& byte : s.vector[i].bytes) byte = std::byte(random_.below(256));
        }
        s.flags.set((random_.next() & 0xcd5) | 2 |
                    (kind_ == Kind::kVirtual8086 ? x86::rflags::kVm | x86::rflags::kIopl : 0));
        for (uint64_t at = kData; at < kCode; at += 8)
            program_.put(at, random_.next() & 0x3fff3fff3fff3fff);
        std::fill(program_.memory.begin() + kCode, program_.memory.end(), std::byte{0xf4});
    }

    void make_tables() {
        constexpr uint64_t kAll = x86::page_entry::kPresent | x86::page_entry::kWritable;
        CpuState& s = program_.state;
        s.cr0 |= x86::cr0::kPg;
        s.cr4 |= x86::cr4::kPae;
        s.efer = x86::efer::kLme | x86::efer::kLma;
        s.cr3 = kTables;
        program_.put(kTables, (kTables + 0x1000) | kAll);
        program_.put(kTables + 0x1000, (kTables + 0x2000) | kAll);
        program_.put(kTables + 0x2000, (kTables + 0x3000) | kAll);
        // Not writable themselves: what a TLB remembers of tables that change is not defined.
        s.cr0 |= x86::cr0::kWp;
        for (uint64_t i = 0; i < kMemorySize >> 12; ++i) {
            const bool table = i >= kTables >> 12 && i < (kTables >> 12) + 4;
            program_.put(kTables + 0x3000 + 8 * i,
                         (i << 12) | (table ? x86::page_entry::kPresent : kAll));
        }
    }

    void make_code() {
        struct Branch {
            uint64_t at, behind;
            unsigned size;
            size_t index;
        };
        std::vector<Branch> branches;
        std::vector<uint64_t> starts;
        uint64_t at = kCode + start_;
        const unsigned count = 4 + random_.below(28);
        while (starts.size() < count) {
            std::array<std::byte, 24> bytes;
            Instruction in;
            if (!make_instruction(bytes, in)) continue;
            std::memcpy(&program_.memory[at], bytes.data(), in.length());
            starts.push_back(at);
            const auto& imm = in.info.raw.imm[0];
            if (imm.is_relative)
                branches.push_back(
                    {at + imm.offset, at + in.length(), imm.size / 8u, starts.size()});
            at += in.length();
        }
        for (unsigned i = 0; i < 4; ++i) starts.push_back(at + i);
        // Mostly forward, to instructions; what goes elsewhere meets HLT or small numbers.
        for (const Branch& branch : branches) {
            if (branch.size > 1 && random_.one_in(12)) continue;
            const auto forward =
                static_cast<uint32_t>(starts[branch.index + random_.below(4)] - branch.behind);
            std::memcpy(&program_.memory[branch.at], &forward, branch.size);
        }
        disassemble_all(kCode + start_, at);
    }

    void disassemble_all(uint64_t at, uint64_t end) {
        while (at < end) {
            Instruction in;
            if (decode(std::span(program_.memory).subspan(at, 15), size(), in) != DecodeStatus::kOk)
                break;
            program_.text += disassemble(in, at) + "\n";
            at += in.length();
        }
    }

    bool make_instruction(std::array<std::byte, 24>& bytes, Instruction& in) {
        unsigned n = 0;
        const auto put = [&](unsigned value) { bytes[n++] = std::byte(value); };
        if (random_.one_in(4)) put(0x66);
        if (random_.one_in(6)) put(0x67);
        if (random_.one_in(5)) put(random_.of({0x26u, 0x2eu, 0x36u, 0x3eu, 0x64u, 0x65u}));
        if (random_.one_in(40)) put(random_.of({0xf0u, 0xf2u, 0xf3u}));
        put_opcode(put);
        while (n < bytes.size()) put(random_.below(256));
        if (decode(std::span(bytes).first(15), size(), in) != DecodeStatus::kOk) return false;
        if (in.info.meta.category == ZYDIS_CATEGORY_IO ||
            in.mnemonic() == ZYDIS_MNEMONIC_RDRAND || in.mnemonic() == ZYDIS_MNEMONIC_RDSEED ||
            in.mnemonic() == ZYDIS_MNEMONIC_RDPID) {
            return false;
        }
        const auto& raw = in.info.raw;
        // OF behind rotations by more than 1 is undefined, and silicon has it either way.
        const bool rotates = (in.info.opcode & 0xfe) == 0xc0 || (in.info.opcode & 0xfe) == 0xd2;
        if (rotates && in.info.opcode_map == ZYDIS_OPCODE_MAP_DEFAULT && raw.modrm.reg < 4)
            return false;
        // The same for all flags behind a division.
        const bool divides = in.mnemonic() == ZYDIS_MNEMONIC_DIV ||
                             in.mnemonic() == ZYDIS_MNEMONIC_IDIV;
        if (divides && in.info.operand_width == 32) return false;
        // And behind multiplications and counts of bits, on some hosts.
        const bool leaves_flags =
            in.mnemonic() == ZYDIS_MNEMONIC_MUL || in.mnemonic() == ZYDIS_MNEMONIC_IMUL ||
            in.mnemonic() == ZYDIS_MNEMONIC_TZCNT || in.mnemonic() == ZYDIS_MNEMONIC_LZCNT;
        if (leaves_flags && host_leaves_undefined_flags()) return false;
        // Up to 4 GiB of devices' memory.
        const bool repeats = in.has_prefix(ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE |
                                           ZYDIS_ATTRIB_HAS_REPNE);
        if (repeats && in.info.address_width == 32) return false;
        // Displacements that lead somewhere.
        if (raw.disp.size == 32) {
            const uint32_t disp = random_.below(0x3000);
            std::memcpy(&bytes[raw.disp.offset], &disp, 4);
        }
        return decode(std::span(bytes).first(15), size(), in) == DecodeStatus::kOk;
    }

    template <class Put>
    void put_opcode(const Put& put) {
        static constexpr unsigned kOften[] = {
            0x88, 0x89, 0x8a, 0x8b, 0x8d, 0xa0, 0xa1, 0xa2, 0xa3, 0x80, 0x81, 0x82, 0x83, 0xc0,
            0xc1, 0xd0, 0xd1, 0xd2, 0xd3, 0xf6, 0xf7, 0xfe, 0xff, 0x84, 0x85, 0x86, 0x87, 0x69,
            0x6b, 0xc6, 0xc7, 0xe0, 0xe1, 0xe2, 0xe3, 0xe8, 0xe9, 0xeb, 0xc9, 0x68, 0x6a, 0x8f};
        static constexpr unsigned kRarely[] = {
            0x06, 0x07, 0x0e, 0x16, 0x17, 0x1e, 0x1f, 0x27, 0x2f, 0x37, 0x3f, 0x60, 0x61, 0x62,
            0x8c, 0x8e, 0x9c, 0x9d, 0xa4, 0xa5, 0xa6, 0xa7, 0xaa, 0xab, 0xac, 0xad, 0xae, 0xaf,
            0xc2, 0xc3, 0xc4, 0xc5, 0xc8, 0xd4, 0xd5, 0xd6, 0xd7, 0xce, 0xf5, 0xf8, 0xf9, 0xfc};
        static constexpr unsigned kTwoBytes[] = {
            0xa0, 0xa1, 0xa3, 0xa4, 0xa5, 0xa8, 0xab, 0xac, 0xad, 0xaf, 0xb0, 0xb1, 0xb2, 0xb3,
            0xb4, 0xb5, 0xb6, 0xb7, 0xba, 0xbb, 0xbc, 0xbd, 0xbe, 0xbf, 0xc0, 0xc1, 0xc7, 0xc3};
        static constexpr unsigned kVector[] = {0x10, 0x11, 0x28, 0x29, 0x2a, 0x2d,
                                               0x50, 0x57, 0x58, 0x6e, 0x6f, 0x7e,
                                               0x7f, 0xd6, 0xef, 0xfe, 0xc4, 0xc5};
        switch (random_.below(13)) {
            case 0:
            case 1: put(random_.below(8) * 8 + random_.below(6)); break;  // ADD to CMP
            case 2: put(0x40 + random_.below(0x20)); break;  // INC DEC PUSH POP
            case 3: put(0x90 + random_.below(8) + 0x20 * random_.below(2)); break;
            case 4: put(0x70 + random_.below(16)); break;
            case 5:
                put(0x0f);
                put(random_.of(kTwoBytes));
                break;
            case 6:
                put(0x0f);
                put(random_.of({0x40u, 0x80u, 0x90u, 0xc8u}) + random_.below(8));
                break;
            case 7:
                put(0x0f);
                put(random_.of(kVector));
                break;
            case 8: put(random_.of(kRarely)); break;
            case 9: put(0xd8 + random_.below(8)); break;  // x87
            default: put(random_.of(kOften)); break;
        }
    }

    Random random_;
    const Kind kind_;
    uint32_t start_ = 0;
    Program program_;
};

std::string difference(const Machine& one, const Machine& two) {
    const CpuState& a = one.vcpu->state();
    const CpuState& b = two.vcpu->state();
    const auto differ = [](const std::string& what, uint64_t x, uint64_t y) {
        return what + ": interpreter " + std::to_string(x) + ", translator " + std::to_string(y);
    };
    if (a.rip != b.rip) return differ("rip", a.rip, b.rip);
    for (unsigned i = 0; i < 16; ++i) {
        if (a.gpr[i] != b.gpr[i]) return differ("r" + std::to_string(i), a.gpr[i], b.gpr[i]);
    }
    if (a.flags.value() != b.flags.value())
        return differ("flags", a.flags.value(), b.flags.value());
    for (unsigned i = 0; i < x86::kSegmentCount; ++i) {
        const SegmentRegister &x = a.segments[i], &y = b.segments[i];
        if (x.base != y.base || x.limit != y.limit || x.attributes != y.attributes ||
            x.selector != y.selector) {
            return differ("segment " + std::to_string(i), x.selector, y.selector);
        }
    }
    for (unsigned i = 0; i < 16; ++i) {
        if (a.vector[i].bytes != b.vector[i].bytes) return "xmm" + std::to_string(i);
    }
    const X87State &x87 = a.x87, &y87 = b.x87;
    if (x87.fsw != y87.fsw) return differ("FSW", x87.fsw, y87.fsw);
    if (x87.fcw != y87.fcw) return differ("FCW", x87.fcw, y87.fcw);
    if (x87.tags != y87.tags) return differ("x87 tags", x87.tags, y87.tags);
    if (x87.fip != y87.fip) return differ("FIP", x87.fip, y87.fip);
    if (x87.fdp != y87.fdp) return differ("FDP", x87.fdp, y87.fdp);
    if (x87.fop != y87.fop) return differ("FOP", x87.fop, y87.fop);
    for (unsigned i = 0; i < 8; ++i) {
        if (x87.physical[i].significand != y87.physical[i].significand ||
            x87.physical[i].sign_exponent != y87.physical[i].sign_exponent) {
            return "x87 register " + std::to_string(i);
        }
    }
    for (uint64_t at = 0; at < kMemorySize; at += kPageSize) {
        const std::byte *x = one.page(at), *y = two.page(at);
        for (unsigned i = 0; i < kPageSize; ++i) {
            if (x[i] == y[i]) continue;
            return differ("memory at " + std::to_string(at + i), std::to_integer<unsigned>(x[i]),
                          std::to_integer<unsigned>(y[i]));
        }
    }
    return {};
}

// MYNAH_SEED and MYNAH_CASES choose others, MYNAH_CASE the first of them.
uint64_t from_environment(const char* name, uint64_t otherwise) {
    const char* value = std::getenv(name);
    return value == nullptr ? otherwise : std::strtoull(value, nullptr, 0);
}

class LegacyCode : public ::testing::TestWithParam<Kind> {};

TEST_P(LegacyCode, DoesWhatTheInterpreterDoes) {
    const uint64_t seed = from_environment("MYNAH_SEED", 1);
    const uint64_t cases = from_environment("MYNAH_CASES", 500);
    Machine interpreter(false), translator(true);
    unsigned halted = 0;
    for (uint64_t i = from_environment("MYNAH_CASE", 0); i < cases; ++i) {
        const uint64_t case_seed = (seed << 32) + i;
        const Program program = Generator(case_seed, GetParam()).make();
        interpreter.restore(program.memory);
        constexpr uint64_t kMost = 3000;
        const VcpuExit exit = interpreter.run(program.state, kMost);
        if (exit == VcpuExit::kInstructionLimit) continue;  // a loop
        // Virtual-8086 mode may not halt.
        const CpuState& end = interpreter.vcpu->state();
        const uint64_t linear = (end.cs().base + end.rip) & 0xffffffff;
        const bool at_hlt = interpreter.memory->load<uint8_t>(GuestPhys(linear)) == 0xf4;
        if (exit == VcpuExit::kHalted || at_hlt) ++halted;
        // The second time blocks are there, the third time they are linked.
        for (unsigned time = 1; time <= 3; ++time) {
            translator.restore(program.memory);
            EXPECT_EQ(translator.run(program.state, ~uint64_t{0}), exit);
            const std::string what = difference(interpreter, translator);
            ASSERT_EQ(what, "") << "case " << i << " of seed " << seed << ", run " << time
                                << "; from " << program.state.rip << " to " << end.rip << "\n"
                                << program.text;
        }
    }
    // Most must get somewhere, or nothing was compared.
    EXPECT_GT(halted, cases / 20);
    RecordProperty("halted", static_cast<int>(halted));
}

std::string kind_name(const ::testing::TestParamInfo<Kind>& info) {
    static constexpr const char* kNames[] = {"Real", "Virtual8086", "Protected16", "Protected32",
                                             "Compatibility"};
    return kNames[static_cast<unsigned>(info.param)];
}

INSTANTIATE_TEST_SUITE_P(Modes, LegacyCode,
                         ::testing::Values(Kind::kReal, Kind::kVirtual8086, Kind::kProtected16,
                                           Kind::kProtected32, Kind::kCompatibility),
                         kind_name);

}  // namespace
}  // namespace mynah
