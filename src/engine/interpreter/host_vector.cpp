#include "engine/interpreter/host_vector.h"

#include <utility>

namespace mynah::interpreter {

Result<std::unique_ptr<HostVectorUnit>> HostVectorUnit::create() {
    CodeBuffer on_fault;
    emit_fault_exit(on_fault);
    std::unique_ptr<StubArena> arena = TRY(StubArena::create(kArenaBytes, on_fault.code()));
    return std::unique_ptr<HostVectorUnit>(new HostVectorUnit(std::move(arena)));
}

size_t HostVectorUnit::KeyHash::operator()(const Key& key) const {
    constexpr uint64_t kMultiplier = 0x9e3779b97f4a7c15;
    uint64_t hash = 0;
    for (const uint64_t word : key.words) {
        hash = (hash ^ word) * kMultiplier;
        hash ^= hash >> 32;
    }
    return hash;
}

HostVectorUnit::Key HostVectorUnit::key_of(const HostInstruction& i, const VectorForm& rest) {
    const auto pack = [](std::initializer_list<uint8_t> bytes) {
        uint64_t word = 0;
        for (const uint8_t byte : bytes) word = word << 8 | byte;
        return word;
    };
    const auto packed = [](const HostInstruction::Operand& o) {
        return static_cast<uint8_t>(static_cast<unsigned>(o.kind) | (o.read ? 8u : 0u) |
                                    (o.written ? 16u : 0u));
    };
    const unsigned bits = (i.vex ? 1u : 0u) | (i.wide ? 2u : 0u) | (i.long_vector ? 4u : 0u) |
                          (i.has_immediate ? 8u : 0u) | (i.flags_written ? 16u : 0u) |
                          (rest.mmx_gate ? 32u : 0u) | (rest.sse_gate ? 64u : 0u);
    return {{pack({static_cast<uint8_t>(bits), i.prefix, i.map, i.opcode, i.extension, i.immediate,
                   rest.memory_bytes, rest.alignment}),
             pack({packed(i.reg), packed(i.rm), packed(i.vvvv), packed(i.is4), rest.mmx_written}),
             pack({packed(i.xmm0), packed(i.rax), packed(i.rdx), packed(i.rcx)})}};
}

const VectorForm* HostVectorUnit::form(const HostInstruction& instruction, VectorForm rest) {
    const Key key = key_of(instruction, rest);
    MutexLock lock(mutex_);
    const auto known = forms_.find(key);
    if (known != forms_.end()) return &known->second;
    CodeBuffer code;
    emit_vector_stub(instruction, code);
    rest.stub = reinterpret_cast<VectorStub>(reinterpret_cast<uintptr_t>(arena_->add(code.code())));
    if (rest.stub == nullptr) return nullptr;
    return &forms_.emplace(key, rest).first->second;
}

const X87Form* HostVectorUnit::x87_form(const X87Code& instruction, uint8_t memory_bytes) {
    const unsigned modrm = instruction.memory ? instruction.modrm & 0x38u : instruction.modrm;
    const uint32_t key = instruction.opcode | modrm << 8 | (instruction.memory ? 1u << 16 : 0u);
    MutexLock lock(mutex_);
    const auto known = x87_forms_.find(key);
    if (known != x87_forms_.end()) return &known->second;

    X87Form form{.shape = classify_x87(instruction), .memory_bytes = memory_bytes};
    CodeBuffer code, short_code;
    unsigned instruction_offset = 0;
    emit_x87_stub(instruction, code, instruction_offset);
    emit_x87_short_stub(instruction, form.shape.kind, short_code);
    const auto stub = reinterpret_cast<uintptr_t>(arena_->add(code.code()));
    const auto short_stub = reinterpret_cast<uintptr_t>(arena_->add(short_code.code()));
    if (stub == 0 || short_stub == 0) return nullptr;
    form.stub = reinterpret_cast<X87Stub>(stub);
    form.short_stub = reinterpret_cast<X87ShortStub>(short_stub);
    form.instruction_address = stub + instruction_offset;
    const unsigned host_modrm = instruction.memory ? modrm | 6u : modrm;
    form.host_opcode = static_cast<uint16_t>((instruction.opcode & 7u) << 8 | host_modrm);
    return &x87_forms_.emplace(key, form).first->second;
}

HostVectorUnit::Usage HostVectorUnit::usage() {
    MutexLock lock(mutex_);
    return {forms_.size() + x87_forms_.size(), arena_->used()};
}

}  // namespace mynah::interpreter
