#pragma once
#include <cstdint>
namespace mynah::interpreter {
class Core;
bool io_permitted(Core& core, uint16_t port, unsigned size);
}
