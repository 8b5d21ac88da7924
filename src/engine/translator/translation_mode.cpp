#include "engine/translator/translation_mode.h"

#include "isa/instruction.h"

namespace mynah::translator {

namespace attr = x86::segment_attribute;

// Real and virtual-8086 mode look at limits and not at types [SDM 3A 5.3, 20.1.1].
SegmentUse segment_use(const SegmentRegister& segment, bool protected_mode) {
    if (!segment.usable()) return SegmentUse::kOther;
    const bool code = (segment.attributes & attr::kCode) != 0;
    const bool flag = (segment.attributes & attr::kReadableOrWritable) != 0;
    if (!code && (segment.attributes & attr::kConformingOrExpandDown) != 0)
        return SegmentUse::kOther;
    if (protected_mode) {
        if (code && !flag) return SegmentUse::kOther;
        if (code || !flag) return SegmentUse::kReadOnly;
    }
    return segment.base == 0 && segment.limit == 0xffffffff ? SegmentUse::kFlat
                                                            : SegmentUse::kLimited;
}

void TranslationMode::set_segments(const CpuState& state, bool protected_mode) {
    unsigned all = 0;
    for (unsigned i = 0; i < x86::kSegmentCount; ++i) {
        all |= static_cast<unsigned>(segment_use(state.segments[i], protected_mode)) << (2 * i);
    }
    segments = static_cast<uint16_t>(all);
    cs_base = static_cast<uint32_t>(state.cs().base);
    cs_limit = state.cs().limit;
}

x86::Segment segment_of(unsigned zydis_register) {
    switch (zydis_register) {
        case ZYDIS_REGISTER_ES: return x86::Segment::kEs;
        case ZYDIS_REGISTER_CS: return x86::Segment::kCs;
        case ZYDIS_REGISTER_SS: return x86::Segment::kSs;
        case ZYDIS_REGISTER_FS: return x86::Segment::kFs;
        case ZYDIS_REGISTER_GS: return x86::Segment::kGs;
        default: return x86::Segment::kDs;
    }
}

}  // namespace mynah::translator
