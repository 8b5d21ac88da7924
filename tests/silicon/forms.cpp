#include "silicon/forms.h"

#include <array>
#include <set>
#include <tuple>

#include "engine/interpreter/builder.h"
#include "silicon/maker.h"

namespace mynah::silicon {
namespace {

bool has_operand(const Instruction& instruction, ZydisOperandEncoding encoding) {
    for (unsigned i = 0; i < instruction.info.operand_count; ++i) {
        if (instruction.operands[i].encoding == encoding) return true;
    }
    return false;
}

class Enumeration {
 public:
    explicit Enumeration(const CpuidPolicy& policy) : policy_(policy) {}

    std::vector<Form> run() {
        static const std::vector<std::vector<uint8_t>> kPrefixes = {
            {}, {0x66}, {0xf2}, {0xf3}, {0x66, 0xf2}, {0x66, 0xf3}};
        for (const CodeSize mode : {CodeSize::k64, CodeSize::k32}) {
            for (const auto& prefixes : kPrefixes) {
                for (unsigned wide = 0; wide < (mode == CodeSize::k64 ? 2 : 1); ++wide) {
                    for (unsigned map = 0; map < 4; ++map)
                        legacy_map(mode, prefixes, wide != 0, map);
                }
            }
            for (unsigned map = 1; map < 4; ++map) vex_map(mode, map);
        }
        return std::move(forms_);
    }

 private:
    void legacy_map(CodeSize mode, const std::vector<uint8_t>& prefixes, bool wide, unsigned map) {
        for (unsigned opcode = 0; opcode < 256; ++opcode) {
            Form form{.mode = mode,
                      .prefixes = prefixes,
                      .wide = wide,
                      .map = static_cast<uint8_t>(map),
                      .opcode = static_cast<uint8_t>(opcode)};
            std::vector<uint8_t> bytes = prefixes;
            if (wide) bytes.push_back(0x48);
            if (map >= 1) bytes.push_back(0x0f);
            if (map == 2) bytes.push_back(0x38);
            if (map == 3) bytes.push_back(0x3a);
            bytes.push_back(form.opcode);
            every_modrm(form, bytes);
        }
    }

    void vex_map(CodeSize mode, unsigned map) {
        for (unsigned opcode = 0; opcode < 256; ++opcode) {
            for (unsigned bits = 0; bits < 32; ++bits) {
                Form form{.mode = mode,
                          .prefixes = {},
                          .wide = (bits & 16) != 0,
                          .vex = true,
                          .vex_long = (bits & 4) != 0,
                          .vex_prefix = static_cast<uint8_t>(bits & 3),
                          .map = static_cast<uint8_t>(map),
                          .opcode = static_cast<uint8_t>(opcode)};
                const unsigned vvvv = (bits & 8) != 0 ? 0xf : 0xc;
                const unsigned last = (form.wide ? 0x80u : 0u) | vvvv << 3 | (bits & 7);
                every_modrm(form, {0xc4, static_cast<uint8_t>(0xe0 | map),
                                   static_cast<uint8_t>(last), form.opcode});
            }
        }
    }

    void every_modrm(const Form& form, const std::vector<uint8_t>& start) {
        for (unsigned reg = 0; reg < 8; ++reg) {
            // A memory operand with a SIB byte serves gathers as well.
            if (try_modrm(form, start, static_cast<uint8_t>(reg << 3 | 4)) == Found::kNoModrm)
                return;
            for (unsigned rm = 0; rm < 8; ++rm) {
                try_modrm(form, start, static_cast<uint8_t>(0xc0 | reg << 3 | rm));
            }
        }
    }

    enum class Found { kNothing, kNoModrm, kForm };
    Found try_modrm(Form form, std::vector<uint8_t> bytes, uint8_t modrm) {
        bytes.push_back(modrm);
        bytes.push_back(0x08);  // SIB: [rax + rcx]
        bytes.resize(15, 0);
        Instruction instruction;
        if (decode(std::as_bytes(std::span(bytes)), form.mode, instruction) != DecodeStatus::kOk) {
            return Found::kNothing;
        }
        // Not what the bytes in front of it, taken for an opcode, seem to be.
        static constexpr ZydisOpcodeMap kMaps[] = {ZYDIS_OPCODE_MAP_DEFAULT, ZYDIS_OPCODE_MAP_0F,
                                                   ZYDIS_OPCODE_MAP_0F38, ZYDIS_OPCODE_MAP_0F3A};
        if (instruction.info.opcode != form.opcode || instruction.info.opcode_map != kMaps[form.map]) {
            return Found::kNothing;
        }
        form.has_modrm = instruction.has_prefix(ZYDIS_ATTRIB_HAS_MODRM);
        const Found found = form.has_modrm ? Found::kForm : Found::kNoModrm;
        if (!interpreter::offered(instruction, policy_)) return found;
        form.mnemonic = instruction.mnemonic();
        form.memory = form.has_modrm && instruction.info.raw.modrm.mod != 3;
        form.vector_index = instruction.info.meta.category == ZYDIS_CATEGORY_AVX2GATHER;
        form.reg_open = has_operand(instruction, ZYDIS_OPERAND_ENCODING_MODRM_REG);
        form.rm_open = has_operand(instruction, ZYDIS_OPERAND_ENCODING_MODRM_RM);
        form.vvvv_open = has_operand(instruction, ZYDIS_OPERAND_ENCODING_NDSNDD);
        form.modrm = static_cast<uint8_t>((modrm & 0xc0) | (form.reg_open ? 0 : modrm & 0x38) |
                                          (form.rm_open ? 0 : modrm & 7));
        if (!form.has_modrm) form.modrm = 0;
        keep(form, instruction);
        return found;
    }

    void keep(const Form& form, const Instruction& instruction) {
        unsigned selecting = 0;
        for (unsigned i = 0; i < instruction.info.raw.prefix_count; ++i) {
            const auto& prefix = instruction.info.raw.prefixes[i];
            if (prefix.type == ZYDIS_PREFIX_TYPE_MANDATORY) selecting = prefix.value;
        }
        const bool repeats = instruction.has_prefix(ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE);
        const bool repeats_ne = instruction.has_prefix(ZYDIS_ATTRIB_HAS_REPNE);
        const Key key{
            form.mode,  form.mnemonic, form.vex,  form.map,  form.opcode,
            form.modrm, form.vex_long, form.wide, selecting, instruction.info.operand_width,
            repeats,    repeats_ne};
        if (known_.insert(key).second) forms_.push_back(form);
    }

    using Key = std::tuple<CodeSize, ZydisMnemonic, bool, uint8_t, uint8_t, uint8_t, bool, bool,
                           unsigned, unsigned, bool, bool>;
    const CpuidPolicy& policy_;
    std::set<Key> known_;
    std::vector<Form> forms_;
};

}  // namespace

std::vector<Form> enumerate_forms(const CpuidPolicy& policy) { return Enumeration(policy).run(); }

const char* exclusion_reason(const Form& form) {
    switch (form.mnemonic) {
        case ZYDIS_MNEMONIC_RDTSC:
        case ZYDIS_MNEMONIC_RDTSCP: return "the time is never the same";
        case ZYDIS_MNEMONIC_RDRAND:
        case ZYDIS_MNEMONIC_RDSEED: return "random by design";
        case ZYDIS_MNEMONIC_RDPID: return "tells which host processor this is";
        case ZYDIS_MNEMONIC_CPUID:
        case ZYDIS_MNEMONIC_XGETBV: return "the guest's answer is its own";
        case ZYDIS_MNEMONIC_SYSCALL:
        case ZYDIS_MNEMONIC_SYSENTER:
        case ZYDIS_MNEMONIC_INT: return "enters the host's kernel";
        case ZYDIS_MNEMONIC_INT1:
        case ZYDIS_MNEMONIC_INT3: return "looks like the trap that ends every case";
        case ZYDIS_MNEMONIC_VMCALL:
        case ZYDIS_MNEMONIC_VMMCALL: return "calls the host's hypervisor";
        case ZYDIS_MNEMONIC_SGDT:
        case ZYDIS_MNEMONIC_SIDT:
        case ZYDIS_MNEMONIC_SLDT:
        case ZYDIS_MNEMONIC_STR:
        case ZYDIS_MNEMONIC_SMSW:
            return "stores the host kernel's values or is caught by it (UMIP)";
        case ZYDIS_MNEMONIC_WRFSBASE: return "the host process cannot do without its FS base";
        case ZYDIS_MNEMONIC_LFS:
        case ZYDIS_MNEMONIC_LGS: return "the host process cannot do without its FS and GS";
        default: break;
    }
    const bool loads_fs_or_gs =
        (form.map == 1 && (form.opcode == 0xa1 || form.opcode == 0xa9)) ||
        (form.map == 0 && form.opcode == 0x8e);
    if (loads_fs_or_gs) return "the host process cannot do without its FS and GS";
    return host_is_amd() ? differs_on_amd(form) : nullptr;
}

}  // namespace mynah::silicon
