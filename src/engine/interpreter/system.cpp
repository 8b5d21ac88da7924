#include "engine/interpreter/system.h"

#include "engine/interpreter/segment_load.h"

namespace mynah::interpreter {

bool build_mov_system(Build& b) {
    for (unsigned i = 0; i < 2; ++i) {
        if (!b.is_reg(i)) continue;
        switch (ZydisRegisterGetClass(b.operand(i).reg.value)) {
            case ZYDIS_REGCLASS_SEGMENT:
                return build_mov_segment(b);
            case ZYDIS_REGCLASS_CONTROL:
                return build_mov_control(b);
            case ZYDIS_REGCLASS_DEBUG:
                return build_mov_debug(b);
            default:
                break;
        }
    }
    return false;
}

void add_system(BuilderTable& table) {
    add_segment_load(table);
    add_system_call(table);
    add_control_register(table);
    add_descriptor_table(table);
    add_segment_query(table);
    add_msr(table);
    add_identification(table);
    add_cache_control(table);
    add_idle(table);
    add_hypercall(table);
    add_system_management(table);
}

}  // namespace mynah::interpreter
